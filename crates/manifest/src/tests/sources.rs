//! What is said of sources that are not as they should be.

use super::problems::check;

#[test]
fn sources_of_ones_own_are_checked() {
    check(
        "gates: [{name: a, source: {http: {url: x, jsonPointer: y}}, against: stable, margin: 5%}]",
        &[
            "error (line 7): spec.gates[0].source.http.url: \"x\" is not a URL; begin with http:// or https:// and a host",
            "error (line 7): spec.gates[0].source.http.jsonPointer: \"y\" is not a JSON pointer; begin with '/', such as /canary/accuracy",
            "error (line 7): spec.gates[0].source: `against: stable` has nothing to compare with; say where stable's value is read: prometheus.stableQuery or http.stablePointer",
            "error (line 7): spec.gates[0].better: nothing says which way is better; write `better: higher` or `better: lower`",
        ],
    );
    check(
        "gates: [{name: a, source: {prometheus: {url: 'http://p', query: 'f{{version}}'}}, min: 1, consecutive: 0}]",
        &[
            "error (line 7): spec.gates[0].consecutive: the gate would pass without a good reading; write 1 or more: readings are not tested, so without any the gate would pass unseen",
            "error (line 7): spec.gates[0].source.prometheus.query: it holds an unknown placeholder; use {{rollout}}, {{stable}} and {{canary}}, and {{model}} or {{region}} where there are several",
        ],
    );
    check(
        "gates: [{name: a, source: {push: {}}, max: 1, every: 5m, minSamples: 100}, {name: b, metric: error_rate, max: 1%, against: stable, margin: 2x, better: lower}]",
        &[
            "error (line 7): spec.gates[0].minSamples: a reading does not say of how many samples it is; leave it out, and write how many good readings are wanted in `consecutive`",
            "error (line 7): spec.gates[1].better: which way is better follows from the metric; leave it out: it is for a source",
        ],
    );
    check(
        "gates: [{name: e, metric: error_rate, against: stable, margin: 2x}, {name: a, source: {push: {}}, max: 1, every: 5m}]\nstages: [{weight: 5%, bake: 1m, gates: [e]}, {weight: 100%, bake: 1m, gates: []}]",
        &[
            "warning (line 7): spec.gates[1]: gate a is named by no stage, so its source is never read; name it in the `gates` of a stage, or make it a guardrail, which is read in all of them",
        ],
    );
    check(
        "gates: [{name: a, source: {push: {}}, metric: overdue, max: 1%}]",
        &["error (line 7): spec.gates[0].metric: source is given as well; keep one of the two"],
    );
    check(
        "gates: [{name: a, source: {grafana: {}}, max: 1}]",
        &[
            "error (line 7): spec.gates[0].source: it is not exactly one of these fields; write one of prometheus, http, push",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, max: 1%, onError: {action: pause}}, {name: b, source: {push: {}}, max: 1, noData: {limit: 1, action: stop}}]",
        &[
            "error (line 7): spec.gates[1].noData.action: \"stop\" is not known here; use one of hold, pause, rollback",
        ],
    );
    check(
        "gates: [{name: a, metric: error_rate, max: 1%, onError: {action: pause}}]",
        &[
            "error (line 7): spec.gates[0].onError: it is for what has a source: counts arrive for all gates at once; leave it out; spec.noData says what is done while no counts arrive",
        ],
    );
    check(
        "gates: [{name: a, source: {push: {}}, max: 1, every: 5m, onError: {limit: 0, action: rollback}}]",
        &[
            "warning (line 7): spec.gates[0].onError: a source of gate a that is away rolls a healthy canary back; write `action: pause`, or leave it out to hold",
        ],
    );
    check(
        "gates: [{name: a, source: {push: {}}, max: 1, every: 1m}]",
        &[
            "warning (line 7): spec.gates[0]: gate a can pass after 3m: figures of your own seldom settle so soon; raise `every`, `consecutive`, `startAfter` or `minWindow`",
        ],
    );
}

#[test]
fn how_a_source_is_asked_is_checked() {
    let prometheus = |more: &str| {
        format!(
            "gates: [{{name: a, source: {{prometheus: {{url: 'http://p', query: f, {more}}}}}, max: 1, every: 5m}}]"
        )
    };
    let at = "error (line 7): spec.gates[0].source.prometheus";
    let refused = |more: &str, expected: &[String]| {
        check(&prometheus(more), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    refused(
        "range: {over: 1m, step: 2m}",
        &[format!(
            "{at}.range.step: 1m holds no step of 2m; write a step above 0s and at most `over`, such as {{over: 10m, step: 30s}}"
        )],
    );
    refused(
        "range: {over: 1d, step: 1s}",
        &[format!(
            "{at}.range.step: it asks for 86401 values, and Prometheus gives 11000 at most; lengthen `step`, or shorten `over`"
        )],
    );
    refused(
        "bearerTokenFile: /etc/shadow",
        &[format!(
            "{at}.bearerTokenFile: no file is read any more that is named here; write `access: {{bearer: {{secret: NAME}}}}`; the controller offers the files of its --secret-dir"
        )],
    );
    refused(
        "access: {headers: {Authorization: {value: x}, host: {value: y}, x-a: {value: \"a\\nb\"}}, bearer: {secret: ../x}, timeout: 2m}",
        &[
            format!(
                "{at}.access.headers.Authorization: a secret stands here, for everybody to read; write {{secret: NAME}}, a name the controller's operator offers"
            ),
            format!("{at}.access.headers.host: HTTP itself writes this header; leave it out"),
            format!(
                "{at}.access.headers.x-a: it holds signs no HTTP header may hold; use plain letters, digits and signs"
            ),
            format!(
                "{at}.access: it authenticates in several ways; keep one of basic, bearer and an authorization header"
            ),
            format!(
                "{at}.access.bearer.secret: \"../x\" is not the name of a secret; write the name under which the controller's operator offers it, such as prometheus-token or prometheus/token"
            ),
            format!(
                "{at}.access.timeout: 2m is no time to wait for an answer; write a time up to 1m, such as 5s"
            ),
        ],
    );
    refused(
        "access: {basic: {user: 'a:b', password: {secret: /etc/shadow}}, tls: {key: {secret: .hidden}, insecureSkipVerify: true, serverName: 'a b'}}",
        &[
            format!(
                "{at}.access.basic.user: it holds a ':' or a control character; leave it out: what stands before the first ':' is the name"
            ),
            format!(
                "{at}.access.basic.password.secret: \"/etc/shadow\" is not the name of a secret; write the name under which the controller's operator offers it, such as prometheus-token or prometheus/token"
            ),
            format!(
                "{at}.access.tls.key.secret: \".hidden\" is not the name of a secret; write the name under which the controller's operator offers it, such as prometheus-token or prometheus/token"
            ),
            format!(
                "{at}.access.tls: the url does not begin with https://; write https://, or leave `tls` out"
            ),
            format!(
                "{at}.access.tls: a certificate and its key go together; give both `certificate` and `key`, or neither"
            ),
            format!(
                "{at}.access.tls.insecureSkipVerify: it would ignore `ca` and `serverName`; leave it out: with a `ca` there is nothing to skip"
            ),
            format!("{at}.access.tls.serverName: \"a b\" is not a host name; write one, such as prometheus"),
        ],
    );
    check(
        "gates: [{name: a, source: {http: {url: 'https://anna:pw@h/x?y=@', jsonPointer: /a, access: {tls: {ca: {value: x}}}}}, max: 1, every: 5m}]",
        &[
            "error (line 7): spec.gates[0].source.http.url: credentials stand in it, for everybody to read; write `access: {basic: {user: ..., password: {secret: NAME}}}`",
            "error (line 7): spec.gates[0].source.http.access.tls.ca: it holds no certificate in PEM; write `value: |` and the PEM text below it, or {secret: NAME}",
        ],
    );
    check(
        &prometheus("access: {headers: {x-api-key: {value: x}}, bearer: {token: x}}"),
        &[
            "error (line 7): spec.gates[0].source.prometheus.access.bearer.token: there is no such field; use one of secret",
            "error (line 7): spec.gates[0].source.prometheus.access.bearer: `secret` is missing; add `secret`",
        ],
    );
    check(
        &prometheus("access: {headers: {x-api-key: {value: x}}, bearer: {secret: prometheus/token}}"),
        &[
            "warning (line 7): spec.gates[0].source.prometheus.access.headers.x-api-key: it looks like a secret, and everybody who may see the rollout can read it; write {secret: NAME}, a name the controller's operator offers",
            "warning (line 7): spec.gates[0].source.prometheus.access.bearer.secret: it travels in the clear: the url begins with http://; ask over https://, or leave it to a network nobody listens to",
        ],
    );
    check(
        "gates: [{name: a, source: {http: {url: 'https://h', jsonPointer: /a, access: {tls: {insecureSkipVerify: true}}}}, max: 1, every: 5m}]",
        &[
            "warning (line 7): spec.gates[0].source.http.access.tls.insecureSkipVerify: anybody between the controller and the source can answer in its place, and read what is sent; name the authority that signed its certificate: `ca: {secret: NAME}` or `ca: {value: PEM}`",
        ],
    );
}
