//! Prints the JSON Schema of a rollout: `cargo run -p spec --example schema > spec/schema.json`.

fn main() {
    println!("{:#}", spec::schema());
}
