//! The crates look one way: checked over `cargo metadata`, as ARCHITECTURE.md says.

use std::collections::BTreeMap;

/// Each crate and those of ours that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("holdfast-resp", &[]),
    ("holdfast-storage", &[]),
    ("holdfast-rdb", &["holdfast-storage"]),
    ("holdfast-replication", &["holdfast-resp"]),
    (
        "holdfast-persistence",
        &["holdfast-storage", "holdfast-resp", "holdfast-rdb"],
    ),
    (
        "holdfast-tools",
        &[
            "holdfast-storage",
            "holdfast-rdb",
            "holdfast-persistence",
            "holdfast-cluster",
        ],
    ),
    ("holdfast-cluster", &[]),
    (
        "holdfast-acl",
        &["holdfast-resp", "holdfast-storage", "holdfast-commands"],
    ),
    ("holdfast-scripting", &["holdfast-resp"]),
    (
        "holdfast-commands",
        &["holdfast-resp", "holdfast-storage", "holdfast-rdb"],
    ),
    (
        "holdfast",
        &[
            "holdfast-resp",
            "holdfast-storage",
            "holdfast-rdb",
            "holdfast-commands",
            "holdfast-acl",
            "holdfast-scripting",
            "holdfast-persistence",
            "holdfast-replication",
            "holdfast-tools",
            "holdfast-cluster",
        ],
    ),
    // The tests speak to processes; they run transcripts in process, too, for which they need the server alone.
    ("holdfast-tests", &["holdfast"]),
];

#[test]
fn crates_look_one_way() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata runs");
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut seen = 0;
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table of this test"));
        seen += 1;
        for dependency in &package.dependencies {
            let ours = allowed.contains_key(dependency.name.as_str());
            let is_dev = dependency.kind == cargo_metadata::DependencyKind::Development;
            assert!(
                !ours || is_dev || may.contains(&dependency.name.as_str()),
                "{name} must not depend on {}",
                dependency.name
            );
        }
    }
    assert_eq!(
        seen,
        ALLOWED.len(),
        "a crate of the table is missing in the workspace"
    );
}

#[test]
fn unsafe_stays_in_one_folder() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace is above");
    let mut files = vec![root.join("crates"), root.join("tests")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder of the workspace");
            files.extend(
                entries
                    .map(|e| e.expect("an entry").path())
                    .filter(|p| !p.ends_with("target")),
            );
        } else if path.extension().is_some_and(|e| e == "rs")
            && !path.ends_with("tests/tests/architecture.rs")
        {
            let text = std::fs::read_to_string(&path).expect("source is text");
            let has = text.lines().any(|l| {
                let code = l.trim_start();
                !code.starts_with("//") && (code.contains("unsafe {") || code.contains("unsafe impl"))
            });
            let may = path.to_string_lossy().contains("crates/storage/src/encoding/")
                || path.to_string_lossy().contains("crates/storage/tests/");
            assert!(!has || may, "{} has unsafe code", path.display());
        }
    }
}
