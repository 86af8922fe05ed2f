use serde_json::{Value, json};
use split::Splitter;
use split::policy::Policy;

/// Above this not every whole number is a double.
const EXACT: u64 = 1 << 53;

/// What neither the API server nor istiod would refuse, and we do.
pub fn faults(document: &Value) -> Vec<String> {
    match document["kind"].as_str() {
        Some("TrafficExtension") => plugin(document, &document["spec"]["wasm"]),
        Some("WasmPlugin") => plugin(document, &document["spec"]),
        Some("VirtualService") => routes(document),
        _ => Vec::new(),
    }
}

/// `wasm` is the part of the document that names the code.
fn plugin(document: &Value, wasm: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    let text = |field: &str| wasm[field].as_str().unwrap_or_default();
    expect(
        ["oci://", "https://"].iter().any(|scheme| text("url").starts_with(scheme)),
        "url: begin with oci:// or https://; a file's VMs are rebuilt at every write, and plain http is anybody's",
    );
    expect(text("sha256").len() == 64, "sha256: name the digest, or another module may come");
    expect(
        text("imagePullPolicy") == "IfNotPresent",
        "imagePullPolicy: every change of weight would pull again",
    );
    expect(text("failStrategy") == "FAIL_OPEN", "failStrategy: a failed pull would answer 403 to everything");
    expect(text("pluginName") == envoy::NAME, "pluginName: not the root context's name");
    let modes: Vec<&Value> =
        document["spec"]["match"].as_array().into_iter().flatten().map(|m| &m["mode"]).collect();
    expect(modes == [&json!("CLIENT")], "match: the mode must be CLIENT, or two proxies decide");
    expect(
        document["spec"]["selector"]["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty()),
        "selector: it would run in every pod of the namespace",
    );
    faults.extend(policy(&wasm["pluginConfig"]).err());
    faults
}

/// The policy as a sidecar reads it, at weight 0.
pub fn policy(config: &Value) -> Result<Policy, String> {
    let config = through_doubles(config).map_err(|error| format!("pluginConfig: {error}"))?;
    let policy: Policy = serde_json::from_value(config).map_err(|error| format!("pluginConfig: {error}"))?;
    Splitter::compile(&policy).map_err(|error| format!("pluginConfig: {error}"))?;
    match policy.rollouts.iter().find(|rollout| rollout.arms.exposes()) {
        Some(rollout) => Err(format!("pluginConfig: {} begins at a weight", rollout.name)),
        None => Ok(policy),
    }
}

/// What is left of a document after istiod: its numbers have been doubles (protobuf `Struct`).
fn through_doubles(value: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::Array(items) => items.iter().map(through_doubles).collect::<Result<_, _>>()?,
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), through_doubles(value)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) if whole.unsigned_abs() <= EXACT => json!(whole),
            // Written without a fraction, so that a whole number stays one.
            (None, Some(double))
                if number.is_f64() && double.fract() == 0.0 && double.abs() <= EXACT as f64 =>
            {
                json!(double as i64)
            }
            (None, Some(double)) if number.is_f64() => json!(double),
            _ => return Err(format!("{number} is above 2^53 and would be rounded; write it as text")),
        },
        other => other.clone(),
    })
}

fn routes(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let routes = document["spec"]["http"].as_array().cloned().unwrap_or_default();
    for route in &routes {
        let destinations = route["route"].as_array().cloned().unwrap_or_default();
        if destinations.len() != 1
            || destinations.iter().any(|destination| destination.get("weight").is_some())
        {
            faults.push(
                "http: a route leads to one destination without a weight; weights live in the filter"
                    .to_owned(),
            );
        }
    }
    let stable = json!("stable");
    let last = routes.last().unwrap_or(&Value::Null);
    if last.get("match").is_some() || last.pointer("/route/0/destination/subset") != Some(&stable) {
        faults.push("http: the last route must be unconditional and lead to stable".to_owned());
    }
    faults
}
