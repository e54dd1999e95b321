//! The image, as a user runs it: the Dockerfile, a volume, the health check, another user than root.

use anyhow::Result;
use holdfast_tests::docker::{Container, Images, docker};

/// A volume that is removed when dropped.
struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        let _gone_already = docker(&["volume", "rm", &self.0]);
    }
}

#[test]
fn an_image_keeps_its_data_in_a_volume_and_runs_as_nobody_special() -> Result<()> {
    let images = Images::get()?;
    let volume = Volume(format!("holdfast-test-{}", std::process::id()));
    let mount = format!("{}:/data", volume.0);
    let start = |name| Container::start(name, &["-v", &mount], &images.server, &["--save", "60 1"]);
    let first = start("first")?;
    first.wait_until_healthy()?;
    // A client in a container of its own: protected mode does not shut it out.
    let host = first.address()?;
    let client = ["run", "--rm", &images.base, "redis-cli", "-h", &host];
    assert_eq!(docker(&[&client[..], &["SET", "kept", "yes"]].concat())?, "OK");
    assert_eq!(first.exec(&["id", "-u"])?, "999");
    // SIGTERM reaches the server, which saves.
    docker(&["stop", &first.name])?;
    let exit = docker(&["inspect", "-f", "{{.State.ExitCode}}", &first.name])?;
    assert_eq!(exit, "0");
    drop(first);
    let second = start("second")?;
    second.wait_until_healthy()?;
    assert_eq!(second.exec(&["redis-cli", "GET", "kept"])?, "yes");
    Ok(())
}
