//! Makes the bus's messages out of proto/cluster.proto. `protox` reads it, so no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto/cluster.proto");
    let files = protox::compile(["cluster.proto"], ["../../proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
