//! Prints the kind Rollout for the API server: `cargo run -p istio --example crd > istio/chart/crds/rollouts.yaml`.

fn main() {
    print!("{}", istio::objects::text().unwrap_or_default());
}
