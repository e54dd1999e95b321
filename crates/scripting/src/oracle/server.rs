//! A `redis-server` that evaluates scripts.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The server, killed when dropped.
pub(super) struct Redis {
    child: Child,
    dir: PathBuf,
    connection: BufReader<UnixStream>,
}

impl Redis {
    pub(super) fn start(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("holdfast-scripting-oracle-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the socket");
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "socket", "--dir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let log = BufReader::new(child.stdout.take().expect("piped"));
        let ready = log
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("eady to accept connections"));
        assert!(ready, "redis-server ended before it was ready");
        let connection = UnixStream::connect(dir.join("socket")).expect("the server listens");
        let connection = BufReader::new(connection);
        Self {
            child,
            dir,
            connection,
        }
    }

    /// What a script answers, text or error.
    pub(super) fn eval(&mut self, script: &str) -> String {
        let length = script.len();
        let command = format!("*3\r\n$4\r\nEVAL\r\n${length}\r\n{script}\r\n$1\r\n0\r\n");
        let connection = self.connection.get_mut();
        connection
            .write_all(command.as_bytes())
            .expect("the server reads");
        let mut line = String::new();
        self.connection.read_line(&mut line).expect("the server answers");
        let Some(length) = line.trim_end().strip_prefix('$') else {
            return line;
        };
        let length: usize = length.parse().expect("a length");
        let mut text = vec![0; length + 2];
        self.connection.read_exact(&mut text).expect("the whole text");
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
