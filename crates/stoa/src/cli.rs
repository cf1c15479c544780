//! The command line: names, arguments and help texts.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The arguments of this process. Wrong usage ends the process with exit code 2 and says what is right.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

/// A scalable API in one binary: a gateway and declared data resources from one file.
#[derive(Parser, Debug)]
#[command(
    name = "stoa",
    disable_version_flag = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  stoa init shop && stoa dev shop     an API with data, running in a minute\n  stoa check                          every fault of stoa.yaml, with the edit that mends it\n  stoa serve --profile prod           in production\n\nFILE is a file or a folder that holds stoa.yaml; left out, it is stoa.yaml here."
)]
pub(crate) struct Cli {
    /// Results as JSON, for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Version, commit and features
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write an API file that runs
    #[command(
        after_help = "Examples:\n  stoa init                             the shop here\n  stoa init api --template gateway      a gateway in the folder `api`\n  stoa init --from sqlite:flights.db    serve a database that exists"
    )]
    Init(Init),
    /// Run on a laptop: migrates SQLite, mints a token, reloads on save
    #[command(after_help = "Examples:\n  stoa dev\n  stoa dev shop --http 127.0.0.1:3000")]
    Dev(Dev),
    /// Run in production: JSON logs, SIGHUP reloads, SIGTERM drains
    #[command(after_help = "Examples:\n  stoa serve\n  stoa serve /etc/stoa/shop.yaml --profile prod")]
    Serve(Serve),
    /// Every fault of the file: code, line, caret and the edit that mends it
    #[command(after_help = "Examples:\n  stoa check\n  stoa check --profile prod --format github")]
    Check(Check),
    /// The long text of a fault or problem code
    #[command(after_help = "Examples:\n  stoa explain E0107\n  stoa explain not-found")]
    Explain {
        /// `E0107` of a fault, `not-found` of a problem
        code: String,
    },
    /// The plan in force, secrets redacted
    #[command(after_help = "Examples:\n  stoa config --profile prod\n  stoa config --origin")]
    Config {
        #[command(flatten)]
        file: ProfiledFile,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
    /// JSON Schema of the API file, for editors
    #[command(after_help = "Example:\n  stoa schema > stoa.schema.json")]
    Schema,
    /// OpenAPI 3.1 of the API
    #[command(name = "openapi", after_help = "Example:\n  stoa openapi > openapi.json")]
    OpenApi(ProfiledFile),
    /// Make or read tokens
    #[command(subcommand)]
    Token(Token),
    /// The tables the file asks for against the tables there are
    #[command(subcommand)]
    Migrate(Migrate),
    /// The shards of the PostgreSQL stores
    #[command(subcommand)]
    Shard(Shard),
    /// A consistent copy of the SQLite stores while they serve
    #[command(after_help = "Example:\n  stoa backup backups/shop.db")]
    Backup {
        /// Where to: a file for one store, a folder for several
        #[arg(value_name = "PATH")]
        to: PathBuf,
        #[command(flatten)]
        file: ProfiledFile,
    },
    /// All rows out of the stores, and into others
    #[command(subcommand)]
    Data(Data),
    /// Which route and policies a request meets; nothing is sent
    #[command(after_help = "Example:\n  stoa route GET /products -H 'host: api.example.com'")]
    Route(Route),
    /// What a reload would change
    #[command(after_help = "Example:\n  stoa diff stoa.new.yaml")]
    Diff {
        /// The file that would be loaded
        new: PathBuf,
        #[command(flatten)]
        file: ProfiledFile,
    },
    /// Completions for a shell
    #[command(after_help = "Example:\n  stoa completions bash > /etc/bash_completion.d/stoa")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// An API file and the profile merged over it.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ProfiledFile {
    /// File, or folder that holds stoa.yaml
    #[arg(value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
    /// Profile to merge over the file
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

impl ProfiledFile {
    /// The path, `stoa.yaml` here when left out.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| PathBuf::from("stoa.yaml"))
    }
}

/// Addresses that win over the file's.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Addresses {
    /// Where the API is served; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) http: Option<SocketAddr>,
    /// Where probes and metrics are served; `none` switches them off
    #[arg(long, value_name = "ADDR", value_parser = admin_address)]
    pub(crate) admin: Option<AdminAddress>,
}

/// `--admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminAddress {
    /// No admin port.
    None,
    /// This address.
    At(SocketAddr),
}

#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Folder to write into, made when missing; left out, here
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// What to start from
    #[arg(long, value_enum, conflicts_with = "from")]
    pub(crate) template: Option<Template>,
    /// An existing database: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Option<String>,
}

/// What `init` can write.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// One resource
    Hello,
    /// Data, tokens and rules
    Shop,
    /// Routes to services
    Gateway,
}

#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// File, or folder that holds stoa.yaml
    #[arg(value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) addresses: Addresses,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
    #[command(flatten)]
    pub(crate) addresses: Addresses,
    /// Serve only these services and resources; requests for others are answered 404
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
    /// For people, for machines, or for GitHub Actions
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
}

/// How `check` reports.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Lines with carets, on stderr
    Human,
    /// `{"faults":[…]}`
    Json,
    /// `::error file=…`
    Github,
}

/// `stoa token …`
#[derive(Subcommand, Debug)]
pub(crate) enum Token {
    /// A development token, signed with the file's `auth.jwt.secret`
    #[command(after_help = "Example:\n  stoa token mint --user alice --role admin --ttl 1h")]
    Mint(Mint),
    /// What a token says, and exactly why it would be refused
    #[command(after_help = "Example:\n  stoa token decode eyJhbGciOi…")]
    Decode {
        /// The token; `-` reads it from stdin
        token: String,
        #[command(flatten)]
        file: ProfiledFile,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Mint {
    /// The caller, `sub`
    #[arg(long, value_name = "U")]
    pub(crate) user: String,
    /// A role; may be given again
    #[arg(long = "role", value_name = "R")]
    pub(crate) roles: Vec<String>,
    /// A scope; may be given again
    #[arg(long = "scope", value_name = "S")]
    pub(crate) scopes: Vec<String>,
    /// How long it holds: 30s, 15m, 1h, 7d
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
}

/// `stoa shard …`
#[derive(Subcommand, Debug)]
pub(crate) enum Shard {
    /// Shards, replicas, lag, buckets; exit code 1 when something is not as it should be
    #[command(after_help = "Example:\n  stoa shard status --profile prod")]
    Status(ProfiledFile),
}

/// `stoa data …`
#[derive(Subcommand, Debug)]
pub(crate) enum Data {
    /// The rows of every resource as lines of JSON; nothing should be written meanwhile
    #[command(after_help = "Example:\n  stoa data export > rows.jsonl")]
    Export(DataFile),
    /// The rows that `export` wrote, from stdin; may be run again
    #[command(after_help = "Example:\n  stoa data export | stoa data import --profile prod")]
    Import(DataFile),
}

#[derive(Args, Debug)]
pub(crate) struct DataFile {
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
    /// These resources only
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

/// `stoa migrate …`
#[derive(Subcommand, Debug)]
pub(crate) enum Migrate {
    /// The SQL that would run
    Plan(MigrateFile),
    /// Run it; steps that lose data need --allow-destructive
    Apply(MigrateFile),
    /// Whether the tables fit the file; exit code 1 when they do not
    Status(ProfiledFile),
}

#[derive(Args, Debug)]
pub(crate) struct MigrateFile {
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
    /// Let steps run that lose data
    #[arg(long)]
    pub(crate) allow_destructive: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Route {
    /// GET, POST, …
    pub(crate) method: String,
    /// `/path?query`
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) file: ProfiledFile,
    /// A header of the request; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
}

/// `127.0.0.1:8080`, `localhost:8080`, `:8080` or `8080`; without a host it is loopback.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    match port.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => Err(String::from(
            "write it as HOST:PORT with an IP address, for example 127.0.0.1:8080",
        )),
    }
}

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    if text == "none" {
        return Ok(AdminAddress::None);
    }
    address(text).map(AdminAddress::At)
}

/// `250ms 10s 5m 1h 7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let wrong = || String::from("write a whole number and a unit: 250ms, 10s, 5m, 1h or 7d");
    let n: u64 = digits.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    n.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
