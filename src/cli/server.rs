//! Flags of the commands that talk to live servers: passwords, TLS, patience.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rdbkit::live::{Endpoint, Timeouts, TlsOptions, Url};
use rdbkit::{Error, Result};

/// How to connect to a server.
#[derive(Args, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ServerArgs {
    /// Take the password from this file, for a URL without one; else from REDISCLI_AUTH in the environment
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// With rediss://, trust only the certificates in this file (PEM); else those of the system
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Our own certificate, for servers that want one (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The name that the server's certificate must have, if it is not the host in the URL
    #[arg(long, value_name = "NAME")]
    tls_name: Option<String>,
    /// Trust any certificate: whoever is in between can read and change everything
    #[arg(long)]
    insecure: bool,
    /// Wait so long for a connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    connect_timeout: Option<Duration>,
    /// Wait so long for an answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// A duration such as `500ms` or `1h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|e| format!("{text:?}: {e}"))?;
    if parsed.is_zero() { Err("no time at all".into()) } else { Ok(parsed) }
}

impl ServerArgs {
    /// The server at a URL, with the password from wherever it is.
    pub(crate) fn endpoint(&self, url: &str) -> Result<Endpoint> {
        let named = |e: Error| e.in_input(&without_password(url));
        let mut url: Url = url.parse().map_err(named)?;
        if url.password.is_some() {
            // Each of two servers may have its own.
        } else if let Some(path) = &self.password_file {
            url.password = Some(password_in(path)?);
        } else {
            url.password = std::env::var("REDISCLI_AUTH").ok().filter(|password| !password.is_empty());
        }
        let tls = TlsOptions {
            ca: self.tls_ca.clone(),
            identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            name: self.tls_name.clone(),
            insecure: self.insecure,
        };
        let usual = Timeouts::default();
        let timeouts = Timeouts {
            connect: self.connect_timeout.unwrap_or(usual.connect),
            answer: self.timeout.unwrap_or(usual.answer),
        };
        Endpoint::new(url, &tls, timeouts)
    }
}

/// The password in a file, without the line's end.
fn password_in(path: &std::path::Path) -> Result<String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).in_input(&name))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Error::usage("the password in it is empty").in_input(&name));
    }
    Ok(password.to_owned())
}

/// A URL that may be no proper one, without what may be a password.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}
