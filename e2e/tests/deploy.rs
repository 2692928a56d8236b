//! The files of `deploy/`: each configuration is run by the tests of proxies, or says in `docs/deploy.md` that it is not; and
//! those that are not run are at least well formed and whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rides_e2e::proxies::setup::SETUPS;
use yaml_rust2::{Yaml, YamlLoader};

/// No program of these is to be had here.
const NOT_RUN: [&str; 3] =
    ["deploy/kubernetes/rides.yaml", "deploy/traefik/dynamic.yaml", "deploy/traefik/traefik.yaml"];

/// Other ways to run the server, with tests of their own.
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

/// All files below `folder`, as paths from the root.
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
        assert_ne!(tried, NOT_RUN.contains(&file.as_str()), "{file} is tried, or said not to be");
        assert!(document.contains(&format!("(../{file})")), "docs/deploy.md does not link {file}");
    }
}

/// The document shows the shortest configurations as they are.
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
    let [deployment] = kind("Deployment")[..] else { panic!("one deployment") };
    let [service] = kind("Service")[..] else { panic!("one service") };
    let [claim] = kind("PersistentVolumeClaim")[..] else { panic!("one claim") };
    let ingresses = kind("Ingress");

    let spec = &deployment["spec"];
    // One file, one writer.
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
    let [main] = &yaml("deploy/traefik/traefik.yaml")[..] else { panic!("one document") };
    let [dynamic] = &yaml("deploy/traefik/dynamic.yaml")[..] else { panic!("one document") };
    let router = &dynamic["http"]["routers"]["rides"];
    let entry = router["entryPoints"][0].as_str().unwrap();
    assert_eq!(main["entryPoints"][entry]["address"].as_str(), Some(":443"));
    let service = router["service"].as_str().unwrap();
    let server = &dynamic["http"]["services"][service]["loadBalancer"]["servers"][0]["url"];
    assert_eq!(server.as_str(), Some("h2c://127.0.0.1:8080"));
    assert_eq!(main["providers"]["file"]["filename"].as_str(), Some("/etc/traefik/dynamic.yaml"));
}
