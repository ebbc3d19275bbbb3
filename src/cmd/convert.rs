//! `rdbkit convert`: dumps to a dump, for another server, with other keys, merged.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rdbkit::model::{Origin, Target, TtlRule};
use rdbkit::pipeline::{AofDir, Composer, Conflict, Destination, Input, Loss, Output, Plan, Strip, copy};
use rdbkit::{Error, ErrorKind, Result, text};

use crate::cli::{self, Common, FilterArgs, LossArgs, Outcome, OutputArgs, RewriteArgs, ServerArgs, WriteArgs};
use crate::progress::Progress;

/// Rewrite dumps: for an older server or another one, with fewer or other keys, several into one
///
/// Without further flags the copy is byte for byte the same. With --target, values that the server does not know are
/// written anew in the encoding it would choose itself; what it cannot hold at all is named. Keys can be chosen,
/// renamed and moved. Several files become one, in which no key stands twice.
///
/// --ttl takes a condition on keys as everywhere (any, none, expired, '<1h', '>7d'), or says what becomes of expiries:
/// keep, strip, shift=+7d, shift=-1h, or rebase (as much time is left as when the dump was made).
#[derive(Args)]
#[command(after_help = "Examples:
  rdbkit convert dump.rdb --target redis-6.2 -o old.rdb
  rdbkit convert dump.rdb --target valkey-8 --on-loss downgrade -o valkey.rdb
  rdbkit convert a.rdb b.rdb --on-conflict last -o both.rdb
  rdbkit convert dump.rdb --key 'user:*' --rename 's/^user:/u:/' --db-map 3:0 -o users.rdb
  rdbkit convert dump.rdb --ttl shift=+7d --expired drop -o later.rdb
  rdbkit convert dump.rdb --strip-modules all -o plain.rdb
  rdbkit convert dump.rdb --mask @secret.txt -o shareable.rdb
  rdbkit convert dump.rdb --aof-dir appendonlydir")]
pub(crate) struct Convert {
    /// The dumps, '-' for standard input, or live servers and clusters: redis://HOST:PORT
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write an append-only directory that a server with 'appendonly yes' starts from (7.0 and later)
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    aof_dir: Option<PathBuf>,
    /// Where several files have the same key: an error, or the first one or the last one goes in
    #[arg(long, value_enum, default_value = "error")]
    on_conflict: ConflictName,
    /// Leave out modules' aux data ('aux'), all that is theirs ('all'), or what belongs to these module types
    #[arg(long, value_name = "aux|all|NAME", value_delimiter = ',')]
    strip_modules: Vec<String>,
    /// Write every value anew, compressed anew
    #[arg(long)]
    recompress: bool,
    /// Convert even if a file's checksum is wrong
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    losses: LossArgs,
    #[command(flatten)]
    rewrite: RewriteArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum ConflictName {
    Error,
    First,
    Last,
}

impl Convert {
    pub(crate) fn run(self, common: Common) -> Result<Outcome> {
        let mut inputs = self.open(common)?;
        let plan = self.plan(&inputs)?;
        let (output, folder) = self.create(&plan)?;
        if self.is_copy(&plan) {
            return self.copy(&mut inputs[0], output, common);
        }
        let mut losses = self.losses.listener(self.output.force)?;
        let mut tell = |loss: &Loss| losses.tell(loss);
        let mut composer = Composer::new(&plan, Destination::One(output), &mut tell)?;
        if plan.conflict == Conflict::Last && plan.compares_keys {
            for mut input in self.open(common)? {
                let surveyed = composer.survey(&mut input, common.threads());
                surveyed.map_err(|e| nothing_written(&input, e))?;
            }
        }
        for input in &mut inputs {
            let progress = Progress::of(input, common.quiet, false);
            let added = composer.add(input, common.threads());
            drop(progress);
            added.map_err(|e| nothing_written(input, e))?;
            cli::warn_of_commands(input);
        }
        if composer.is_refused() {
            drop(composer);
            return losses.refuse(&plan.target);
        }
        let report = composer.finish()?;
        losses.finish()?;
        folder.map_or(Ok(()), AofDir::finish)?;
        if !common.quiet {
            cli::summarize(&report, &plan.target, &self.place());
        }
        Ok(Outcome::Yes)
    }

    fn copy(&self, input: &mut Input, output: Output, common: Common) -> Result<Outcome> {
        let progress = Progress::of(input, common.quiet, false);
        let copied = copy(input, common.threads(), output);
        drop(progress);
        let copied = copied.map_err(|e| nothing_written(input, e))?;
        cli::warn_of_commands(input);
        if !common.quiet {
            let (keys, size) = (text::count(copied.keys, "key"), text::bytes(copied.size));
            cli::complain(&format!("{}: {keys}, {size}, a copy", self.place()));
        }
        Ok(Outcome::Yes)
    }

    fn open(&self, common: Common) -> Result<Vec<Input>> {
        let open = |path: &PathBuf| {
            let mut input = cli::open_whole(path, &self.server, common.threads())?;
            if self.no_verify {
                input.reader.verify(false);
            }
            Ok(input)
        };
        let stdin = PathBuf::from("-");
        let looks_twice = matches!(self.on_conflict, ConflictName::Last) && self.files.len() > 1;
        if looks_twice && self.files.iter().any(|path| cli::url_in(path).is_some()) {
            let hint = "take a snapshot with 'rdbkit dump' first";
            return Err(Error::usage(format!(
                "--on-conflict last reads everything twice, and a server changes; {hint}"
            )));
        }
        let twice = matches!(self.on_conflict, ConflictName::Last) && self.files.contains(&stdin);
        if twice || self.files.iter().filter(|path| **path == stdin).count() > 1 {
            return Err(Error::usage("standard input can be read only once; give it a file's name"));
        }
        self.files.iter().map(open).collect()
    }

    /// Where results go, and the folder around them that is to be completed.
    fn create(&self, plan: &Plan) -> Result<(Output, Option<AofDir>)> {
        let Some(path) = &self.aof_dir else {
            return Ok((cli::rdb_output(&self.output)?, None));
        };
        if !plan.target.has_functions() {
            return Err(Error::usage(format!("--aof-dir: {} has no append-only directories; 7.0 has", plan.target)));
        }
        let folder = AofDir::create(path)?;
        Ok((folder.base()?, Some(folder)))
    }

    fn place(&self) -> String {
        match (&self.aof_dir, &self.output.output) {
            (Some(path), _) | (None, Some(path)) => path.display().to_string(),
            (None, None) => "standard output".into(),
        }
    }

    fn plan(&self, inputs: &[Input]) -> Result<Plan> {
        let origins = || inputs.iter().map(|input| input.reader.origin());
        let first = inputs[0].reader.origin();
        let newest = origins().filter(|origin| origin.magic == first.magic).max_by_key(|origin| origin.version);
        let mut plan = self.write.plan(Target::of(newest.unwrap_or(first)), &self.losses)?;
        let (filter, ttl) = self.filter.filter_and_rule()?;
        plan.filter = filter;
        plan.rewrite = self.rewrite.rewrite(self.rebased(ttl, inputs)?)?;
        plan.strip = self.strip();
        plan.options.rebuild |= self.recompress;
        let is_alike = |origin: &Origin| (origin.version, origin.dialect) == (first.version, first.dialect);
        plan.options.same_server &= origins().all(|origin| is_alike(origin));
        plan.options.expand_templates = inputs.len() > 1;
        plan.compares_keys = inputs.len() > 1 || plan.rewrite.may_join_keys();
        plan.changes_content = plan.compares_keys
            || plan.rewrite.changes_keys()
            || !plan.filter.is_empty()
            || !plan.strip.is_empty()
            || plan.rewrite.drop_expired
            || self.aof_dir.is_some();
        plan.conflict = match self.on_conflict {
            ConflictName::Error => Conflict::Error,
            ConflictName::First => Conflict::First,
            ConflictName::Last => Conflict::Last,
        };
        if self.aof_dir.is_some() {
            plan.aux.push((b"aof-base".to_vec(), b"1".to_vec()));
        }
        Ok(plan)
    }

    /// The rule with the time of creation that the dump has.
    fn rebased(&self, ttl: TtlRule, inputs: &[Input]) -> Result<TtlRule> {
        if ttl != TtlRule::Rebase {
            return Ok(ttl);
        }
        let [input] = inputs else {
            return Err(Error::usage(
                "--ttl rebase: several files have several times of creation; convert them one by one",
            ));
        };
        let Some(old) = input.reader.created()? else {
            return Err(Error::usage("--ttl rebase: the file does not say when it was made; use --ttl shift=…"));
        };
        let new = match self.write.ctime() {
            Some(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000),
            None => cli::now(),
        };
        Ok(ttl.resolve(old.saturating_mul(1000), new))
    }

    fn strip(&self) -> Strip {
        let is = |word: &str| self.strip_modules.iter().any(|name| name == word);
        let names = self.strip_modules.iter().filter(|name| *name != "aux" && *name != "all").cloned().collect();
        Strip { aux: is("aux") || is("all"), all: is("all"), names }
    }

    /// Whether nothing is asked for but a copy.
    fn is_copy(&self, plan: &Plan) -> bool {
        self.write.is_empty()
            && self.files.len() == 1
            && self.aof_dir.is_none()
            && !self.recompress
            && plan.filter.is_empty()
            && plan.rewrite.is_empty()
            && plan.strip.is_empty()
    }
}

fn nothing_written(input: &Input, e: Error) -> Error {
    let hint = match e.kind() {
        ErrorKind::Usage(_) => "nothing was written; --on-conflict first or last chooses one",
        _ => "nothing was written",
    };
    input.name_it(e).noting(hint.into())
}
