//! A browser tab that follows the directive stream: it gets a ticket, opens the stream of its supervisor, executes the directives
//! and reconnects when the stream breaks, as an `EventSource` does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::AbortHandle;

use super::Browser;

/// A received event: its name and its data.
pub(crate) type Heard = (String, Value);

/// An open tab. Dropping the value closes the tab.
pub struct Tab {
    heard: Arc<Mutex<Vec<Heard>>>,
    running: AbortHandle,
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Tab {
    /// The events received so far, oldest first.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ids of the directives that this tab had to execute, in the order of their events. A standby tab receives the directives
    /// too, but with `act: false`.
    pub fn asked_to_act(&self) -> Vec<String> {
        let heard = self.heard();
        let asked = heard
            .iter()
            .filter(|(name, data)| name == "directive" && data["act"] == true);
        asked
            .filter_map(|(_, data)| data["directiveId"].as_str().map(ToOwned::to_owned))
            .collect()
    }
}

impl Browser {
    /// Opens a tab that follows this supervisor's stream and executes the directives.
    pub fn open_tab(&self) -> Tab {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (browser, kept) = (self.clone(), heard.clone());
        let running = tokio::spawn(async move {
            let mut last = None;
            loop {
                if let Err(e) = browser.follow(&kept, &mut last).await {
                    tracing::debug!(error = %e, "the simulated tab lost its directive stream; reconnecting in 50 ms");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Tab {
            heard,
            running: running.abort_handle(),
        }
    }

    async fn follow(&self, heard: &Mutex<Vec<Heard>>, last: &mut Option<String>) -> Result<(), reqwest::Error> {
        let base = format!("{}/v1/supervisors/{}", self.sidedoor_url, self.user);
        let mut ask = self.http.post(format!("{base}/tickets"));
        if let Some(bearer) = &self.bearer {
            ask = ask.bearer_auth(bearer);
        }
        let ticket: Value = ask.send().await?.error_for_status()?.json().await?;
        let ticket = ticket["ticket"].as_str().unwrap_or_default().to_owned();
        // The client's timeout of 10 s would cut the stream.
        let mut open = self
            .http
            .get(format!("{base}/directives?ticket={ticket}"))
            .header("Accept", "text/event-stream")
            .timeout(Duration::from_secs(86_400));
        if let Some(id) = last.as_ref() {
            open = open.header("Last-Event-ID", id);
        }
        let mut stream = open.send().await?.error_for_status()?;
        let mut text = String::new();
        while let Some(chunk) = stream.chunk().await? {
            text.push_str(&String::from_utf8_lossy(&chunk));
            while let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                self.take(&block, heard, last);
            }
        }
        Ok(())
    }

    fn take(&self, block: &str, heard: &Mutex<Vec<Heard>>, last: &mut Option<String>) {
        let field = |name: &str| {
            let mut lines = block
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.next().map(|value| value.trim_start().to_owned())
        };
        let (Some(name), Some(data)) = (field("event"), field("data")) else {
            return;
        };
        *last = field("id").or(last.take());
        let Ok(data) = serde_json::from_str::<Value>(&data) else {
            return;
        };
        let act = name == "directive" && data["act"] == true;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let again = heard
            .iter()
            .any(|(n, d)| *n == name && d["act"] == true && d["directiveId"] == data["directiveId"]);
        heard.push((name, data.clone()));
        drop(heard);
        // The stream repeats a directive after a reconnect; it is executed and acknowledged once.
        if act && !again {
            let browser = self.clone();
            tokio::spawn(async move { browser.obey(&data).await });
        }
    }
}
