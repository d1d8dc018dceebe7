//! A request to the service and its answer, which is validated against the contract.

use serde_json::Value;

use super::app::{BACK_END, TestApp};

/// A request to the service.
pub struct Call<'h> {
    app: &'h TestApp,
    method: String,
    path: String,
    key: Option<String>,
    body: Option<String>,
    raw: Option<Vec<u8>>,
    idempotency: Option<String>,
    media: Option<String>,
    validated: bool,
}

impl<'h> Call<'h> {
    pub fn new(app: &'h TestApp, method: &str, path: &str) -> Self {
        Self {
            app,
            method: method.into(),
            path: path.into(),
            key: Some(BACK_END.into()),
            body: None,
            raw: None,
            idempotency: None,
            media: None,
            validated: true,
        }
    }

    /// Uses `key` instead of the back end's.
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sends no key.
    pub fn anonymous(mut self) -> Self {
        self.key = None;
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    pub fn raw(mut self, body: &[u8]) -> Self {
        self.raw = Some(body.to_vec());
        self
    }

    pub fn media(mut self, media: &str) -> Self {
        self.media = Some(media.into());
        self
    }

    /// Does not validate the answer, because an earlier version wrote it: a stored response is replayed unchanged, with the members
    /// and words of the contract that the first request was answered by.
    pub fn replay_of_an_earlier_version(mut self) -> Self {
        self.validated = false;
        self
    }

    pub fn idempotency(mut self, key: &str) -> Self {
        self.idempotency = Some(key.into());
        self
    }

    /// Sends the request and validates the answer against the contract.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// Like `send`, but returns an error if the service dies before it answers.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).expect("a method");
        let mut request = self.app.http.request(method, format!("{}{}", self.app.url, self.path));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(key) = &self.idempotency {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = self.raw.or_else(|| self.body.map(String::into_bytes)) {
            request = request
                .header("Content-Type", self.media.as_deref().unwrap_or("application/json"))
                .body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let media = headers
            .get("content-type")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        assert!(
            headers.contains_key("x-request-id"),
            "{} {} has no X-Request-Id",
            self.method,
            self.path
        );
        let text = answer.text().await?;
        let valid = self
            .app
            .contract()
            .validate(&self.method, &self.path, status, &media, &text);
        if let Err(e) = valid
            && self.validated
        {
            panic!("the answer violates the contract: {e}");
        }
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer {
            status,
            body,
            text,
            headers,
        })
    }
}

/// An answer that was validated against the contract.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
    pub headers: reqwest::header::HeaderMap,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub fn state(&self) -> &str {
        self.body["state"].as_str().unwrap_or_default()
    }

    pub fn id(&self) -> String {
        let id = self.body["id"].as_str();
        id.unwrap_or_else(|| panic!("no id: {}", self.text)).to_owned()
    }
}
