//! Whose memory is meant: the flags of every command that tells bytes of memory.

use std::path::Path;

use clap::Args;
use rdbkit::Result;
use rdbkit::analysis::{Allocator, MemoryModel, Server};
use rdbkit::model::{Origin, Target};
use rdbkit::pipeline::{Input, Output};

use super::{Common, FilterArgs, OutputArgs, ServerArgs, open_source};

/// The server that is asked in thought.
#[derive(Args, Default)]
#[command(next_help_heading = "Memory")]
pub(crate) struct MemoryArgs {
    /// What the keys would take when this server had loaded them: redis-2.4 to redis-8.10, valkey-7.2 to valkey-9.1.
    /// If not given: what they took in the server that wrote the file, when it did
    #[arg(long, value_name = "SERVER")]
    server: Option<Target>,
    /// What that server gets its memory from: jemalloc (its own, in Docker images too), jemalloc-system (packages of
    /// distributions, such as Debian's), jemalloc-system-5.3.1 (where INFO says that version), libc
    #[arg(long, value_name = "NAME", default_value = "jemalloc")]
    allocator: Allocator,
    /// It runs in cluster mode: Redis and Valkey 7.0 and 7.2 have more with each key then
    #[arg(long)]
    cluster: bool,
}

/// The flags of every command that goes through keys and tells their memory.
#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) model: MemoryArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

impl KeyArgs {
    /// Opens what the keys are in.
    pub(crate) fn open(&self, file: &Path, common: Common) -> Result<Input> {
        open_source(file, &self.server, common.threads())
    }

    /// Where the results go.
    pub(crate) fn output(&self) -> Result<Output> {
        Output::create(self.output.output.as_deref(), self.output.force)
    }

    pub(crate) fn is_to_stdout(&self) -> bool {
        self.output.output.is_none()
    }
}

impl MemoryArgs {
    /// Whether a server was named.
    pub(crate) fn names_server(&self) -> bool {
        self.server.is_some()
    }

    /// The model for a file of this origin.
    pub(crate) fn model(&self, origin: &Origin) -> MemoryModel {
        let model = match &self.server {
            Some(target) => MemoryModel::new(Server::of(&target.origin), self.allocator).after_load(),
            None => MemoryModel::new(Server::of(origin), self.allocator),
        };
        if self.cluster { model.in_cluster() } else { model }
    }
}
