//! Why the API server did not do as asked, for people.

/// What was asked, of which kind of objects, in which namespace, and the outcome: a right that lacks is named as a role
/// would grant it.
pub fn words(error: &kube::Error, verb: &str, resource: &str, namespace: Option<&str>) -> String {
    let place = namespace.map_or("all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "the service account may not {verb} {resource} in {place}: give it a Role{} with resources: [{resource}] and verbs: \
             [{verb}] (istio/README.md lists all of them): {}",
            if namespace.is_none() { " of the cluster" } else { "" },
            status.message
        ),
        kube::Error::Api(status) if status.code == 401 => {
            format!("the API server does not know who asks (401): {}", status.message)
        }
        kube::Error::Api(status) => {
            format!(
                "the API server answers {} to {verb} {resource} in {place}: {}",
                status.code, status.message
            )
        }
        other => format!("the API server cannot be asked to {verb} {resource}: {}", root(other)),
    }
}

/// What is at the bottom of it: what lies above says only that something went wrong.
fn root(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let (top, bottom) = (error.to_string(), deepest.to_string());
    if top.contains(&bottom) { top } else { format!("{top}: {bottom}") }
}
