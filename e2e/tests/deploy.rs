//! The files of `deploy/`: each is linked from `docs/deploy.md`, and is either run by the proxy tests or listed as
//! not run. Those that are not run are checked for consistency.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rides_e2e::proxies::setup::SETUPS;
use yaml_rust2::{Yaml, YamlLoader};

/// The configurations that no test runs, because their programs are not available to the tests.
const NOT_RUN: [&str; 3] =
    ["deploy/kubernetes/rides.yaml", "deploy/traefik/dynamic.yaml", "deploy/traefik/traefik.yaml"];

/// The folders of `deploy/` with other ways to run the server, which other tests check.
const OTHERS: [&str; 2] = ["deploy/systemd", "deploy/container"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("a file of deploy/")
}

fn yaml(file: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(file)).expect("YAML")
}

/// Returns all files below `folder`, as paths from the root of the repository.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of deploy/");
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if OTHERS.contains(&path.as_str()) {
            continue;
        }
        match entry.file_type().expect("a type").is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn every_configuration_is_tried_and_in_the_document() {
    let document = read("docs/deploy.md");
    for file in files("deploy") {
        let tried = SETUPS.iter().any(|setup| setup.file == file);
        assert_ne!(tried, NOT_RUN.contains(&file.as_str()), "{file} must be in either SETUPS or NOT_RUN");
        assert!(document.contains(&format!("(../{file})")), "docs/deploy.md does not link {file}");
    }
}

/// The document quotes the shortest configurations in full.
#[test]
fn short_configurations_in_the_document_are_those_of_the_files() {
    let document = read("docs/deploy.md");
    let shortest =
        files("deploy").into_iter().filter(|file| file.contains("shortest") && !file.contains("envoy"));
    for file in shortest {
        assert!(document.contains(&read(&file)), "docs/deploy.md does not show {file}");
    }
}

#[test]
fn the_parts_of_the_kubernetes_file_fit_together() {
    let parts = yaml("deploy/kubernetes/rides.yaml");
    let kind =
        |kind: &str| parts.iter().filter(|part| part["kind"].as_str() == Some(kind)).collect::<Vec<_>>();
    for part in &parts {
        assert!(
            part["apiVersion"].as_str().is_some() && part["metadata"]["name"].as_str().is_some(),
            "{part:?}"
        );
    }
    let [deployment] = kind("Deployment")[..] else { panic!("not exactly one Deployment") };
    let [service] = kind("Service")[..] else { panic!("not exactly one Service") };
    let [claim] = kind("PersistentVolumeClaim")[..] else { panic!("not exactly one PersistentVolumeClaim") };
    let ingresses = kind("Ingress");

    let spec = &deployment["spec"];
    // SQLite has one writer, so the old pod must stop before the new one starts.
    assert_eq!((spec["replicas"].as_i64(), spec["strategy"]["type"].as_str()), (Some(1), Some("Recreate")));
    let pod = &spec["template"];
    assert_eq!(spec["selector"]["matchLabels"], pod["metadata"]["labels"]);
    assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"];
    let probed = probes.map(|probe| container[probe]["httpGet"]["path"].as_str());
    assert_eq!(probed, [Some("/readyz"), Some("/readyz"), Some("/healthz")]);
    let volume = &pod["spec"]["volumes"][0];
    assert_eq!(volume["name"], container["volumeMounts"][0]["name"]);
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
    assert_eq!(ingresses.len(), 2);
    for ingress in ingresses {
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        assert_eq!(backend["name"], service["metadata"]["name"]);
        assert_eq!(backend["port"]["name"], service["spec"]["ports"][0]["name"]);
    }
}

#[test]
fn the_two_files_of_traefik_fit_together() {
    let [main] = &yaml("deploy/traefik/traefik.yaml")[..] else { panic!("not exactly one document") };
    let [dynamic] = &yaml("deploy/traefik/dynamic.yaml")[..] else { panic!("not exactly one document") };
    let router = &dynamic["http"]["routers"]["rides"];
    let entry = router["entryPoints"][0].as_str().unwrap();
    assert_eq!(main["entryPoints"][entry]["address"].as_str(), Some(":443"));
    let service = router["service"].as_str().unwrap();
    let server = &dynamic["http"]["services"][service]["loadBalancer"]["servers"][0]["url"];
    assert_eq!(server.as_str(), Some("h2c://127.0.0.1:8080"));
    assert_eq!(main["providers"]["file"]["filename"].as_str(), Some("/etc/traefik/dynamic.yaml"));
}
