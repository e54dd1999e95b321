//! The command lines of the tools.

use std::path::PathBuf;

use clap::{Args, Parser};

/// A tool with its arguments.
#[derive(Debug, Parser)]
#[command(name = "holdfast", disable_help_subcommand = true)]
pub enum Tool {
    /// Check a snapshot file and say what is in it.
    CheckRdb(CheckRdb),
    /// Check an append-only file: a manifest with all its parts, or one file.
    CheckAof(CheckAof),
    /// Encrypt a file, or a directory of the append-only file, with the first key.
    Encrypt(Convert),
    /// Decrypt a file, or a directory of the append-only file.
    Decrypt(Convert),
    /// Print a line of a key file with a new key.
    GenerateKey(GenerateKey),
    /// Make the cluster's log of this node the truth, when a majority of those who vote is lost for good.
    RecoverCluster(RecoverCluster),
    /// Ask a running server whether it serves; exit code 0 if it does.
    Healthcheck(Healthcheck),
}

/// `check-rdb`.
#[derive(Debug, Args)]
pub struct CheckRdb {
    /// The keys with which the file is encrypted.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The snapshot file.
    pub file: PathBuf,
}

/// `check-aof`.
#[derive(Debug, Args)]
pub struct CheckAof {
    /// The keys with which the files are encrypted.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Cut off what stands behind the last whole command or transaction.
    #[arg(long)]
    pub fix: bool,
    /// Do not ask before.
    #[arg(long, requires = "fix")]
    pub yes: bool,
    /// Cut off what was written after this time, in Unix seconds (needs the timestamps of aof-timestamp-enabled).
    #[arg(long, value_name = "TIMESTAMP", conflicts_with = "fix", value_parser = clap::value_parser!(i64).range(1..))]
    pub truncate_to_timestamp: Option<i64>,
    /// The manifest, or one file, or the directory with one manifest.
    pub file: PathBuf,
}

/// `encrypt` and `decrypt`.
#[derive(Debug, Args)]
pub struct Convert {
    /// The keys: those of encryption-key-file.
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// What is read.
    pub from: PathBuf,
    /// What is made; it must not be there yet.
    pub to: PathBuf,
}

/// `generate-key`.
#[derive(Debug, Args)]
pub struct GenerateKey {
    /// Its id; default: `key-` and the Unix time.
    #[arg(long)]
    pub id: Option<String>,
}

/// `recover-cluster`.
#[derive(Debug, Args)]
pub struct RecoverCluster {
    /// Do it. What only the lost nodes knew of the cluster is gone then; without this, it is only told what there is.
    #[arg(long)]
    pub yes_the_others_are_gone: bool,
    /// Do it although other nodes that vote answer. There are two clusters then, if they go on.
    #[arg(long, requires = "yes_the_others_are_gone")]
    pub even_if_they_answer: bool,
    /// The file of the node: that of cluster-config-file. The node must not run.
    pub file: PathBuf,
}

/// `healthcheck`.
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Where it runs.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Its port for clients.
    #[arg(long, default_value_t = 6379)]
    pub port: u16,
    /// How long to wait for its answer, in milliseconds.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_are_consistent() {
        use clap::CommandFactory;
        Tool::command().debug_assert();
    }
}
