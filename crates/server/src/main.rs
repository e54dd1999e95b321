//! The binary `holdfast`: the server, or one of the tools that need none.

use std::process::ExitCode;

use holdfast_server::config::{self, Invocation};
use holdfast_server::startup;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(code) = holdfast_tools::run(&args) {
        return code;
    }
    let args: Vec<_> = args.into_iter().skip(1).collect();
    let invocation = match config::parse_command_line(&args, &mut std::io::stdin()) {
        Ok(invocation) => invocation,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match invocation {
        Invocation::Version => println!("{}", config::version_line()),
        Invocation::SampleConfig => print!("{}", config::sample_conf()),
        Invocation::Help => print!("{}", config::help_text()),
        Invocation::Run { config } => {
            if let Err(error) = startup::run(*config) {
                eprintln!("{error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
