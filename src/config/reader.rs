//! A reader of settings that collects all problems instead of stopping at the first. It remembers which settings were
//! read, so that it can report unknown ones.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use toml::{Table, Value};

use super::{ConfigError, ConfigErrors};

const PREFIX: &str = "SIDEDOOR__";
/// The largest file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;

/// The settings of the file and the environment, with the problems found so far.
pub struct Reader {
    root: Table,
    from_env: BTreeSet<String>,
    asked: BTreeSet<String>,
    errors: Vec<ConfigError>,
    /// The configuration file.
    file: Option<PathBuf>,
    /// Files that hold secrets, with the settings that name them.
    secret_files: Vec<(String, PathBuf)>,
}

impl Reader {
    /// Reads the file, if any, and applies the environment's overrides.
    ///
    /// # Errors
    /// If the file cannot be read or is not TOML. No setting can be checked then.
    pub fn open(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        let root = match path {
            None => Table::new(),
            Some(path) => parse_file(path).map_err(|e| ConfigErrors(vec![e]))?,
        };
        let mut reader = Self::over(root, env);
        reader.file = path.map(Path::to_owned);
        Ok(reader)
    }

    /// Reads `text` instead of a file, and applies the environment's overrides.
    ///
    /// # Errors
    /// If it is not TOML. No setting can be checked then.
    pub fn of_text(text: &str, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        let root = parse("the configuration", text).map_err(|e| ConfigErrors(vec![e]))?;
        Ok(Self::over(root, env))
    }

    fn over(mut root: Table, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut from_env = BTreeSet::new();
        for (name, text) in env {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let keys: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            if keys.iter().all(|k| !k.is_empty()) {
                from_env.insert(keys.join("."));
                lay_over(&mut root, &keys, text);
            }
        }
        Self {
            root,
            from_env,
            asked: BTreeSet::new(),
            errors: Vec::new(),
            file: None,
            secret_files: Vec::new(),
        }
    }

    /// Adds a problem.
    pub fn problem(&mut self, setting: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let setting = if self.from_env.contains(setting) {
            format!(
                "{setting} (from {PREFIX}{})",
                setting.to_ascii_uppercase().replace('.', "__")
            )
        } else {
            setting.to_owned()
        };
        self.errors.push(ConfigError {
            setting,
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    fn find(&self, setting: &str) -> Option<&Value> {
        let mut keys = setting.split('.');
        let mut at = self.root.get(keys.next()?)?;
        for key in keys {
            at = match at {
                Value::Table(table) => table.get(key)?,
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(at)
    }

    fn ask(&mut self, setting: &str) -> Option<Value> {
        self.asked.insert(setting.to_owned());
        self.find(setting).cloned()
    }

    /// The keys of a table, such as the names of the configured instances.
    pub fn names(&self, setting: &str) -> Vec<String> {
        self.find(setting)
            .and_then(Value::as_table)
            .map(|t| t.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The length of an array of tables.
    pub fn count(&self, setting: &str) -> usize {
        match self.find(setting) {
            Some(Value::Array(items)) => items.len(),
            _ => 0,
        }
    }

    /// Whether the setting (or table) exists.
    pub fn has(&self, setting: &str) -> bool {
        self.find(setting).is_some()
    }

    /// Reads a text and converts it with `take`, whose error is the remedy.
    pub fn text_as<T>(&mut self, setting: &str, take: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = match self.ask(setting)? {
            Value::String(text) => text,
            // A name or an id may consist of digits only.
            Value::Integer(n) => n.to_string(),
            other => {
                let problem = format!("must be a string, not {}", other.type_str());
                self.problem(setting, problem, "put the value in quotes");
                return None;
            }
        };
        match take(&text) {
            Ok(taken) => Some(taken),
            Err(remedy) => {
                self.problem(setting, format!("invalid value {text:?}"), remedy);
                None
            }
        }
    }

    /// Reads an optional text.
    pub fn text(&mut self, setting: &str) -> Option<String> {
        self.text_as(setting, |text| Ok(text.to_owned()))
    }

    /// Reads a required text and converts it with `take`. If it is missing, `remedy` says what to set.
    pub fn required<T>(
        &mut self,
        setting: &str,
        remedy: &str,
        take: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(setting) {
            self.asked.insert(setting.to_owned());
            self.problem(setting, "required setting is missing", remedy);
            return None;
        }
        self.text_as(setting, take)
    }

    /// Reads one of the given words.
    pub fn word<T: Copy>(&mut self, setting: &str, words: &[(&str, T)], default: T) -> T {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let found = self.text_as(setting, |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| format!("use one of {}", known.join(", ")))
        });
        found.unwrap_or(default)
    }

    /// Reads a number from `least` to `most`.
    pub fn number<T>(&mut self, setting: &str, default: T, least: T, most: T) -> T
    where
        T: Copy + PartialOrd + Display + std::str::FromStr,
    {
        let Some(value) = self.ask(setting) else { return default };
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Integer(n) => n.to_string(),
            Value::Float(x) => x.to_string(),
            other => other.type_str().to_owned(),
        };
        match text.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.problem(
                    setting,
                    format!("invalid value {text:?}"),
                    format!("set a number from {least} to {most}; the default is {default}"),
                );
                default
            }
        }
    }

    /// Reads a duration in milliseconds.
    pub fn millis(&mut self, setting: &str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.number(setting, default, least, most))
    }

    /// Reads a duration in seconds.
    pub fn seconds(&mut self, setting: &str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.number(setting, default, least, most))
    }

    /// Reads a duration in milliseconds, as a signed one.
    pub fn signed_millis(&mut self, setting: &str, default: i64, least: i64, most: i64) -> SignedDuration {
        SignedDuration::from_millis(self.number(setting, default, least, most))
    }

    /// Reads a duration in seconds, as a signed one.
    pub fn signed_seconds(&mut self, setting: &str, default: i64, least: i64, most: i64) -> SignedDuration {
        SignedDuration::from_secs(self.number(setting, default, least, most))
    }

    /// Reads true or false.
    pub fn flag(&mut self, setting: &str, default: bool) -> bool {
        match self.ask(setting) {
            None => default,
            Some(Value::Boolean(flag)) => flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.problem(setting, "neither true nor false", "set true or false, without quotes");
                default
            }
        }
    }

    /// Whether a flag is explicitly set to false.
    pub fn is_off(&self, setting: &str) -> bool {
        match self.find(setting) {
            Some(Value::Boolean(flag)) => !flag,
            Some(Value::String(text)) => text == "false",
            _ => false,
        }
    }

    /// Reads a list of texts; from the environment, separated by commas.
    pub fn list(&mut self, setting: &str) -> Vec<String> {
        match self.ask(setting) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(|t| t.trim().to_owned()).collect(),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                items.iter().filter_map(|i| i.as_str().map(ToOwned::to_owned)).collect()
            }
            Some(_) => {
                self.problem(setting, "not a list of strings", "write it as [\"…\", \"…\"]");
                Vec::new()
            }
        }
    }

    /// Reads a secret, either directly or from the file that `…_file` names. No message quotes it.
    pub fn secret(&mut self, setting: &str) -> Option<SecretString> {
        let file_setting = format!("{setting}_file");
        let direct = self.ask(setting);
        let file = self.secret_file(&file_setting);
        if let (Some(_), false, Some(file)) = (&direct, self.from_env.contains(setting), &self.file) {
            self.secret_files.push((setting.to_owned(), file.clone()));
        }
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(
                    setting,
                    format!("set twice, also as {file_setting}"),
                    "remove one of the two",
                );
                None
            }
            (Some(Value::String(secret)), None) if !secret.is_empty() => Some(SecretString::from(secret)),
            (Some(_), None) => {
                self.problem(setting, "empty, or not a string", "set the secret, in quotes");
                None
            }
            (None, Some(path)) => match read_bounded(&path) {
                Ok(secret) if !secret.trim_end().is_empty() => Some(SecretString::from(secret.trim_end().to_owned())),
                Ok(_) => {
                    self.problem(
                        &file_setting,
                        format!("the file {} is empty", path.display()),
                        "write the secret into that file",
                    );
                    None
                }
                Err(e) => {
                    self.problem(
                        &file_setting,
                        format!("cannot read the file {}: {e}", path.display()),
                        "check the path, and that the service's user may read the file",
                    );
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Reads the path of a file that holds a secret. Its permissions are checked at the end; see [`super::SecretsConfig`].
    pub fn secret_file(&mut self, setting: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(setting)?);
        self.secret_files.push((setting.to_owned(), path.clone()));
        Some(path)
    }

    /// The files that hold secrets, each with the setting that names it or that it contains.
    pub fn secret_files(&self) -> Vec<(String, PathBuf)> {
        self.secret_files.clone()
    }

    /// Marks a setting as known without reading it.
    pub fn pass_over(&mut self, setting: &str) {
        self.asked.insert(setting.to_owned());
    }

    /// The names of all settings that were read or passed over.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().map(String::as_str)
    }

    /// Adds a problem for each unknown setting and ends the reading.
    ///
    /// # Errors
    /// All problems, if there is any.
    pub fn finish(mut self) -> Result<(), ConfigErrors> {
        let mut present = Vec::new();
        leaves(&Value::Table(self.root.clone()), String::new(), &mut present);
        for setting in present {
            let asked = |name: &String| setting == *name || setting.starts_with(&format!("{name}."));
            if self.asked.iter().any(asked) {
                continue;
            }
            let near = self.asked.iter().min_by_key(|name| distance(name, &setting)).cloned();
            let near = near.filter(|name| distance(name, &setting) <= 3);
            let remedy = near.map_or_else(
                || "remove it; docs/configuration.md lists all settings".to_owned(),
                |name| format!("did you mean {name}?"),
            );
            self.problem(&setting, "unknown setting", remedy);
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(self.errors))
        }
    }
}

fn parse_file(path: &Path) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text = read_bounded(path).map_err(|e| ConfigError {
        setting: name.clone(),
        problem: format!("cannot read the file: {e}"),
        remedy: "check the path in --config or SIDEDOOR_CONFIG".into(),
    })?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Table, ConfigError> {
    // The parser's Display quotes the line, which may contain a secret, so only the line's number is reported.
    text.parse::<Table>().map_err(|e| {
        let line = e
            .span()
            .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ConfigError {
            setting: name.to_owned(),
            problem: format!("invalid TOML in line {line}: {}", e.message()),
            remedy: "correct that line".into(),
        }
    })
}

pub(super) fn read_bounded(path: &Path) -> Result<String, String> {
    // The bound is on the bytes that are read, because a device or a pipe does not report its size.
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    match read.map_err(|e| e.to_string())? as u64 {
        size if size > MAX_FILE => Err("larger than 1 MiB".into()),
        _ => Ok(text),
    }
}

fn lay_over(table: &mut Table, keys: &[String], text: String) {
    let [first, rest @ ..] = keys else { return };
    if rest.is_empty() {
        table.insert(first.clone(), Value::String(text));
        return;
    }
    let index = rest.first().and_then(|k| k.parse::<usize>().ok()).filter(|i| *i < 64);
    let entry = table.entry(first.clone());
    match index {
        Some(index) => {
            let items = entry.or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(items) = items else { return };
            while items.len() <= index {
                items.push(Value::Table(Table::new()));
            }
            if let (Some(Value::Table(inner)), [_, below @ ..]) = (items.get_mut(index), rest) {
                lay_over(inner, below, text);
            }
        }
        None => {
            if let Value::Table(inner) = entry.or_insert_with(|| Value::Table(Table::new())) {
                lay_over(inner, rest, text);
            }
        }
    }
}

fn leaves(value: &Value, at: String, into: &mut Vec<String>) {
    let below = |key: &str| {
        if at.is_empty() {
            key.to_owned()
        } else {
            format!("{at}.{key}")
        }
    };
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                leaves(value, below(key), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (i, value) in items.iter().enumerate() {
                leaves(value, below(&i.to_string()), into);
            }
        }
        Value::Table(_) => {}
        _ => into.push(at),
    }
}

/// The Levenshtein distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = if x == *y {
                diagonal
            } else {
                1 + diagonal.min(row[j]).min(row[j + 1])
            };
            diagonal = row[j + 1];
            row[j + 1] = cost;
        }
    }
    row[b.len()]
}
