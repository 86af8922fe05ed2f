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

#[test]
fn every_file_that_is_mounted_is_here() {
    for (name, service) in services() {
        for volume in texts(&service["volumes"]) {
            let Some(source) = volume.split(':').next().filter(|source| source.starts_with("./")) else {
                continue;
            };
            assert!(folder().join(source).is_file(), "{name} mounts {source}");
        }
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
    let present = |command: &[&str]| {
        Command::new(command[0])
            .args(&command[1..])
            .arg("version")
            .output()
            .is_ok_and(|out| out.status.success())
    };
    let Some(command) = candidates.into_iter().find(|command| present(command)) else {
        eprintln!("skipped: no docker-compose; on Debian `apt-get install docker-compose` has it");
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
