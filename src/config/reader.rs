//! A reader of settings that keeps every problem instead of stopping at the first, and knows afterwards which settings
//! were never asked for.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use toml::{Table, Value};

use super::{ConfigError, ConfigErrors};

const PREFIX: &str = "SIDEDOOR__";
/// The largest file read.
const MAX_FILE: u64 = 1 << 20;

/// Settings being read.
pub struct Reader {
    root: Table,
    from_env: BTreeSet<String>,
    asked: BTreeSet<String>,
    errors: Vec<ConfigError>,
}

impl Reader {
    /// Of the file, with the environment's overrides laid over it.
    ///
    /// # Errors
    /// When the file cannot be read or is not TOML: then nothing else can be said.
    pub fn open(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        let root = match path {
            None => Table::new(),
            Some(path) => parse_file(path).map_err(|e| ConfigErrors(vec![e]))?,
        };
        Ok(Self::over(root, env))
    }

    /// Of a text that stands for the file's.
    ///
    /// # Errors
    /// When it is not TOML: then nothing else can be said.
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
        }
    }

    /// Keeps a problem.
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

    /// The names under a table, such as the configured instances.
    pub fn names(&self, setting: &str) -> Vec<String> {
        self.find(setting)
            .and_then(Value::as_table)
            .map(|t| t.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// How many tables an array of tables has.
    pub fn count(&self, setting: &str) -> usize {
        match self.find(setting) {
            Some(Value::Array(items)) => items.len(),
            _ => 0,
        }
    }

    /// Whether anything stands under a name.
    pub fn has(&self, setting: &str) -> bool {
        self.find(setting).is_some()
    }

    /// A text that `take` accepts, or what stands for it.
    pub fn text_as<T>(&mut self, setting: &str, take: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = match self.ask(setting)? {
            Value::String(text) => text,
            // A bare number or word of the environment may be meant as a text.
            Value::Integer(n) => n.to_string(),
            other => {
                let problem = format!("must be a text, not {}", other.type_str());
                self.problem(setting, problem, "put the value in quotes");
                return None;
            }
        };
        match take(&text) {
            Ok(taken) => Some(taken),
            Err(remedy) => {
                self.problem(setting, format!("{text:?} cannot be taken"), remedy);
                None
            }
        }
    }

    /// A text, or none.
    pub fn text(&mut self, setting: &str) -> Option<String> {
        self.text_as(setting, |text| Ok(text.to_owned()))
    }

    /// A text that must be there.
    pub fn required<T>(
        &mut self,
        setting: &str,
        remedy: &str,
        take: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(setting) {
            self.asked.insert(setting.to_owned());
            self.problem(setting, "is missing", remedy);
            return None;
        }
        self.text_as(setting, take)
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, setting: &str, words: &[(&str, T)], default: T) -> T {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let found = self.text_as(setting, |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| format!("use one of {}", known.join(", ")))
        });
        found.unwrap_or(default)
    }

    /// A number from `least` to `most`.
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
                let problem = format!("{text:?} is not a number from {least} to {most}");
                self.problem(
                    setting,
                    problem,
                    format!("give a number in that range; the default is {default}"),
                );
                default
            }
        }
    }

    /// A duration in milliseconds.
    pub fn millis(&mut self, setting: &str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.number(setting, default, least, most))
    }

    /// A duration in seconds.
    pub fn seconds(&mut self, setting: &str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.number(setting, default, least, most))
    }

    /// Yes or no.
    pub fn flag(&mut self, setting: &str, default: bool) -> bool {
        match self.ask(setting) {
            None => default,
            Some(Value::Boolean(flag)) => flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.problem(
                    setting,
                    "is neither true nor false",
                    "write true or false, without quotes",
                );
                default
            }
        }
    }

    /// Whether a flag that was read is set to false.
    pub fn is_off(&self, setting: &str) -> bool {
        match self.find(setting) {
            Some(Value::Boolean(flag)) => !flag,
            Some(Value::String(text)) => text == "false",
            _ => false,
        }
    }

    /// A list of texts.
    pub fn list(&mut self, setting: &str) -> Vec<String> {
        match self.ask(setting) {
            None => Vec::new(),
            // From the environment: separated by commas.
            Some(Value::String(text)) => text.split(',').map(|t| t.trim().to_owned()).collect(),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                items.iter().filter_map(|i| i.as_str().map(ToOwned::to_owned)).collect()
            }
            Some(_) => {
                self.problem(setting, "is not a list of texts", "write it as [\"…\", \"…\"]");
                Vec::new()
            }
        }
    }

    /// A secret: itself, or the path of a file that holds it (`…_file`). No message quotes it.
    pub fn secret(&mut self, setting: &str) -> Option<SecretString> {
        let file_setting = format!("{setting}_file");
        let direct = self.ask(setting);
        let file = self.text(&file_setting);
        match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(
                    setting,
                    format!("is given twice, also as {file_setting}"),
                    "keep one of the two",
                );
                None
            }
            (Some(Value::String(secret)), None) if !secret.is_empty() => Some(SecretString::from(secret)),
            (Some(_), None) => {
                self.problem(
                    setting,
                    "is not a text with something in it",
                    "put the secret in quotes",
                );
                None
            }
            (None, Some(path)) => match read_bounded(Path::new(&path)) {
                Ok(secret) if !secret.trim_end().is_empty() => Some(SecretString::from(secret.trim_end().to_owned())),
                Ok(_) => {
                    self.problem(
                        &file_setting,
                        format!("{path} is empty"),
                        "write the secret into that file",
                    );
                    None
                }
                Err(e) => {
                    self.problem(
                        &file_setting,
                        format!("{path} cannot be read: {e}"),
                        "check the path and its rights",
                    );
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Says that a setting of the design is not there yet, rather than passing over it in silence.
    pub fn not_yet(&mut self, setting: &str) {
        if self.has(setting) {
            self.asked.insert(setting.to_owned());
            self.problem(setting, "is not supported in this version", "remove it");
        }
    }

    /// Marks a setting as known without reading it.
    pub fn pass_over(&mut self, setting: &str) {
        self.asked.insert(setting.to_owned());
    }

    /// What was asked for, in the pattern form of the documentation (`connect.instances.*.region`).
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().map(String::as_str)
    }

    /// Every problem, the settings nobody asked for among them.
    ///
    /// # Errors
    /// If there is any.
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
                || "remove it; docs/configuration.md lists every setting".to_owned(),
                |name| format!("did you mean {name}?"),
            );
            self.problem(&setting, "is not a known setting", remedy);
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
        problem: format!("cannot be read: {e}"),
        remedy: "check the path given with --config or SIDEDOOR_CONFIG".into(),
    })?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> Result<Table, ConfigError> {
    // The parser's own message quotes the line, which may hold a secret: only its place is told.
    text.parse::<Table>().map_err(|e| {
        let line = e
            .span()
            .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ConfigError {
            setting: name.to_owned(),
            problem: format!("is not TOML: line {line}: {}", e.message()),
            remedy: "mend that line".into(),
        }
    })
}

fn read_bounded(path: &Path) -> Result<String, String> {
    // What is read is bounded, not what the file says of its size: a device or a pipe says nothing.
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    match read.map_err(|e| e.to_string())? as u64 {
        size if size > MAX_FILE => Err("it is larger than 1 MiB".into()),
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
        // An empty table sets nothing.
        Value::Table(_) => {}
        _ => into.push(at),
    }
}

/// Edit distance, for "did you mean".
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
