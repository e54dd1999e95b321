//! docs/commands.md is what the declarations say. `UPDATE=1 cargo test -p holdfast --test commands_page` writes it.

use std::path::Path;

use holdfast_commands::docs_page::commands_page;
use holdfast_commands::introspect::tree;
use holdfast_server::registry::Registry;

#[test]
fn commands_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let page = commands_page(&tree(Registry::get().all().map(|entry| entry.spec)));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("docs/commands.md can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/commands.md is out of date: run this test with UPDATE=1"
    );
}
