//! Prints the JSON Schema of a rollout: `cargo run -p manifest --example schema > crates/manifest/schema.json`.

fn main() {
    println!("{:#}", manifest::schema());
}
