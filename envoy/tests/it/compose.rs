//! `docker-compose.yaml` and what it mounts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

fn services() -> Vec<(String, Value)> {
    let compose = read("docker-compose.yaml");
    compose["services"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

#[test]
fn every_port_is_published_on_loopback_only() {
    let mut published = 0;
    for (name, service) in services() {
        assert_eq!(
            service["network_mode"],
            Value::Null,
            "{name}: the ordinary network isolates, the host's does not"
        );
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
            published += 1;
        }
    }
    assert!(published > 0);
}

#[test]
fn every_service_says_when_it_is_healthy() {
    for (name, service) in services() {
        let test = texts(&service["healthcheck"]["test"]).join(" ");
        assert!(!test.is_empty(), "{name}");
        // Envoy's admin interface refuses HTTP/1.0 (426).
        assert!(!test.contains("HTTP/1.0"), "{name}: {test}");
    }
}

/// A folder that is missing would be made by the engine, as root.
#[test]
fn of_the_host_files_that_are_here_are_mounted_and_only_read() {
    for (name, service) in services() {
        for volume in texts(&service["volumes"]) {
            let Some(source) = volume.split(':').next().filter(|source| source.contains(['/', '.'])) else {
                continue;
            };
            assert!(folder().join(source).is_file(), "{name} mounts {source}");
            assert!(volume.ends_with(":ro"), "{name} could write to {source}");
        }
    }
}

/// Two clones must not share images, and each can have ports of its own.
#[test]
fn a_second_one_can_run_beside() {
    assert_eq!(read("docker-compose.yaml")["name"], "serin");
    for (name, service) in services() {
        if service["build"] != Value::Null {
            let image = service["image"].as_str().unwrap();
            assert!(image.starts_with("${COMPOSE_PROJECT_NAME"), "{name} is {image}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.contains("_PORT:-"), "{name} publishes {port} always");
        }
    }
}

fn dockerfile() -> String {
    fs::read_to_string(folder().join("Dockerfile")).unwrap()
}

#[test]
fn the_images_say_the_version_and_are_built_by_the_rust_that_is_asked_for() {
    let file = dockerfile();
    let labels: Vec<&str> = file
        .split("org.opencontainers.image.version=")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .collect();
    assert_eq!(labels, [env!("CARGO_PKG_VERSION"); 2]);
    let images: Vec<&str> = file
        .lines()
        .filter_map(|line| line.strip_prefix("FROM ").and_then(|line| line.split(' ').next()))
        .filter(|image| image.starts_with("rust:"))
        .collect();
    let expected = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(!images.is_empty() && images.iter().all(|image| image.starts_with(&expected)), "{images:?}");
}

/// A byte in a document, a test's folder or a manifest for a cluster makes no image anew: what is copied is named.
#[test]
fn what_is_copied_into_a_build_is_named() {
    let root = folder().join("..");
    let rules = fs::read_to_string(root.join(".dockerignore")).unwrap();
    let rules: Vec<&str> = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(rules[0], "*");
    let named: Vec<&str> = rules.iter().filter_map(|rule| rule.strip_prefix('!')).collect();
    for name in &named {
        assert!(root.join(name).exists(), "{name}");
    }
    for name in
        ["README.md", "docs", "examples", "istio/README.md", "istio/controller.yaml", "target", ".git"]
    {
        assert!(!named.iter().any(|allowed| Path::new(allowed).starts_with(name)), "{name}");
    }
    // Every member of the workspace, or cargo reads none.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.split(',').map(|member| member.trim().trim_matches('"').trim_end_matches("/*")) {
        let manifest = format!("{member}/Cargo.toml");
        assert!(named.iter().any(|allowed| *allowed == member || *allowed == manifest), "{member}");
    }
}

#[test]
fn names_in_the_configurations_are_services() {
    let services: Vec<String> = services().into_iter().map(|(name, _)| name).collect();
    let bootstrap = read("bootstrap.yaml");
    for cluster in bootstrap["static_resources"]["clusters"].as_array().unwrap() {
        let address = cluster.pointer("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address");
        let host = address.unwrap()["socket_address"]["address"].as_str().unwrap();
        assert!(services.iter().any(|service| service == host), "{host} of {}", cluster["name"]);
    }
    let prometheus = read("prometheus.yml");
    for scrape in prometheus["scrape_configs"].as_array().unwrap() {
        for target in
            scrape["static_configs"].as_array().unwrap().iter().flat_map(|hosts| texts(&hosts["targets"]))
        {
            let host = target.split(':').next().unwrap();
            assert!(services.iter().any(|service| service == host), "{target}");
        }
    }
}

#[test]
fn compose_takes_the_file() {
    let file = folder().join("docker-compose.yaml");
    let candidates: [&[&str]; 2] = [&["docker-compose"], &["docker", "compose"]];
    // The first Compose, in Python, knows nothing of `name`, nor of `up --wait`.
    let present = |command: &[&str]| {
        let said = Command::new(command[0]).args(&command[1..]).args(["version", "--short"]).output();
        said.is_ok_and(|out| out.status.success() && !out.stdout.starts_with(b"1."))
    };
    let Some(command) = candidates.into_iter().find(|command| present(command)) else {
        eprintln!("skipped: no Docker Compose 2 (`cargo xtask compose` runs the file with one of its own)");
        return;
    };
    let out = Command::new(command[0])
        .args(&command[1..])
        .arg("-f")
        .arg(&file)
        .args(["config", "-q"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Every option that a service's command uses is one that its program has.
#[test]
fn the_commands_are_those_of_the_binaries() {
    for (program, variable) in [("serin", "SERIN_BIN"), ("demo", "SERIN_DEMO")] {
        let Some(binary) = env::var_os(variable) else {
            eprintln!("skipped: {variable} is not set; `cargo xtask test` sets it");
            continue;
        };
        for (name, service) in services() {
            let command = texts(&service["command"]);
            if command.first().is_none_or(|first| first != program) {
                continue;
            }
            let out = Command::new(&binary).args([command[1].as_str(), "--help"]).output().unwrap();
            let help = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
            for option in command.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{name} uses {option}:\n{help}");
            }
        }
    }
}
