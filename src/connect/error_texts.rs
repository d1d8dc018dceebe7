//! The texts about an error answer: one for every caller, and a note for operators.
//!
//! A caller of the API may be a supervisor. They must not learn the AWS account, a role's name or what a proxy says, so only words that
//! Connect itself wrote about the request are repeated to them, and only if they name nothing of AWS.

use sidedoor_domain::ports::VendorErrorCode as Code;

/// The most characters of a vendor's message that are shown.
pub(super) const MAX_MESSAGE: usize = 300;
/// The most bytes of a page that are read for its first words.
const PAGE_READ: usize = 4096;
/// The most characters of a page that are shown to operators.
const PAGE_SHOWN: usize = 120;

/// The texts for one error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorTexts {
    /// For every caller.
    pub(super) message: String,
    /// For operators only.
    pub(super) note: Option<String>,
}

impl ErrorTexts {
    /// The texts for an error answer of AWS. `aws_code` is AWS's own error code.
    pub(super) fn of_answer(code: Code, aws_code: &str, status: u16, words: &str) -> Self {
        let words = clean(words);
        let quoted = may_be_quoted(code, &words).then(|| format!("Connect answered {status}: {words}"));
        let note = quoted.is_none().then(|| match words.as_str() {
            "" => clean(aws_code),
            words => format!("{}: {words}", clean(aws_code)),
        });
        let message = quoted.unwrap_or_else(|| match code {
            Code::AccessForbidden => {
                format!("AWS denied Sidedoor access ({status}). An operator must check the policy of Sidedoor's role.")
            }
            Code::CredentialsInvalid => {
                format!("AWS rejected Sidedoor's credentials ({status}). An operator must renew them.")
            }
            Code::ClockInvalid => format!(
                "AWS rejected the time of the request ({status}): the clock of Sidedoor's machine is wrong. An operator must \
                 synchronize it, with chrony or systemd-timesyncd."
            ),
            Code::RegionInvalid => format!(
                "Connect answered {status}: the instance is not active in this Region. An operator must check region and \
                 replica_region of the instance."
            ),
            _ => format!("Connect answered {status}."),
        });
        Self { message, note }
    }

    /// The texts for an answer that is not Connect's: something between Sidedoor and Connect, such as a proxy, sent it.
    pub(super) fn of_foreign_answer(status: u16, body: Option<&[u8]>) -> Self {
        let words = body.map(first_words).filter(|words| !words.is_empty());
        Self {
            message: match status {
                // Connect's own front end may be overloaded, too.
                408 | 429 | 500.. => format!("Connect answered {status}."),
                _ => "Something between Sidedoor and Connect answered instead of Connect. An operator must check the network \
                      (proxy, VPC endpoint)."
                    .into(),
            },
            note: Some(match words {
                Some(words) => format!("status {status}: {words}"),
                None => format!("status {status}"),
            }),
        }
    }

    /// The texts for an answer that could not be read. What looks like JSON is not shown, because it may hold customer data.
    pub(super) fn of_unreadable_answer(status: u16, body: Option<&[u8]>) -> Self {
        let is_page = body.is_some_and(is_no_json);
        Self {
            note: is_page.then(|| Self::of_foreign_answer(status, body).note).flatten(),
            ..Self::plain("Connect's answer could not be read.")
        }
    }

    /// A text of our own, for every reader.
    pub(super) fn plain(message: &str) -> Self {
        Self {
            message: message.into(),
            note: None,
        }
    }

    /// A text of our own, with the chain of causes for operators. Only `Display` is used, because `Debug` of a cause may have data.
    pub(super) fn with_causes(message: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next.filter(|_| causes.len() < 8) {
            let said = cause.to_string();
            if causes.last() != Some(&said) {
                causes.push(said);
            }
            next = cause.source();
        }
        Self {
            note: (!causes.is_empty()).then(|| clean(&causes.join(": "))),
            ..Self::plain(message)
        }
    }
}

/// Whether a caller may read these words: Connect's own about the request, which name no account, role or ARN.
fn may_be_quoted(code: Code, words: &str) -> bool {
    let about_the_request = match code {
        Code::RequestInvalid
        | Code::MonitoringUnsupported
        | Code::ParameterInvalid
        | Code::ResourceNotFound
        | Code::ContactNotFound
        | Code::IdempotencyConflict
        | Code::QuotaLimitReached => true,
        // Connect's own refusal, for example because of the agent's hierarchy; AWS's access control names the role.
        Code::AccessForbidden => words.starts_with("You do not have access to the agent"),
        _ => false,
    };
    about_the_request && !words.is_empty() && !names_something_of_aws(words)
}

/// Whether a text may name an account (12 digits), an ARN, a role, a user or an access key.
fn names_something_of_aws(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let named = ["arn:", "role", "user:", "user/", "akia", "asia"];
    let mut digits = 0;
    let has_account = lower.bytes().any(|b| {
        digits = if b.is_ascii_digit() { digits + 1 } else { 0 };
        digits >= 12
    });
    has_account || named.iter().any(|name| lower.contains(name))
}

/// Whether a body is certainly no JSON, and so no data of Connect.
pub(super) fn is_no_json(body: &[u8]) -> bool {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    first.is_some_and(|b| !matches!(b, b'{' | b'[' | b'"'))
}

/// The first words of a page, without its tags.
fn first_words(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(&page[..page.len().min(PAGE_READ)]);
    let mut text = String::new();
    let mut in_tag = false;
    for c in page.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(if c.is_control() { ' ' } else { c }),
            _ => {}
        }
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(PAGE_SHOWN).collect()
}

/// Removes control characters, which could forge a log line, and cuts long messages.
pub(super) fn clean(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_something_of_aws_are_not_quoted() {
        for words in [
            "no permission for arn:aws:connect:us-west-2:1:instance/x",
            "account 111122223333 has no such instance",
            "assumed-role/sidedoor-prod may not do this",
            "Role sidedoor is not trusted",
            "User: jane",
            "",
        ] {
            assert!(!may_be_quoted(Code::RequestInvalid, words), "{words}");
        }
        assert!(may_be_quoted(
            Code::RequestInvalid,
            "One or more of the input parameters are invalid"
        ));
        assert!(!may_be_quoted(Code::RequestRejected, "Something new"));
    }

    #[test]
    fn page_is_reduced_to_its_first_words() {
        let page = format!(
            "<html><head><title>Blocked</title></head>\r\n<body>by \u{1b}[31mpolicy {}</body>",
            "7 ".repeat(200)
        );
        let words = first_words(page.as_bytes());
        assert!(words.starts_with("Blocked by [31mpolicy 7 7"), "{words}");
        assert_eq!(words.chars().count(), PAGE_SHOWN);
        assert_eq!(first_words(b"<p><br/></p>"), "");
    }

    #[test]
    fn unreadable_answer_shows_a_page_but_no_json() {
        let cut = ErrorTexts::of_unreadable_answer(200, Some(br#"{"Contact": {"CustomerEndpoint": "+1 555"#));
        assert_eq!(cut.note, None);
        let page = ErrorTexts::of_unreadable_answer(200, Some(b" <p>Maintenance</p>"));
        assert_eq!(page.note.as_deref(), Some("status 200: Maintenance"));
        assert_eq!(cut.message, page.message);
    }

    #[test]
    fn causes_are_listed_once_each() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Cause(&'static str, #[source] Option<Box<Cause>>);
        let chain = Cause(
            "outer",
            Some(Box::new(Cause(
                "dns error",
                Some(Box::new(Cause(
                    "dns error",
                    Some(Box::new(Cause("no such host\n", None))),
                ))),
            ))),
        );
        let texts = ErrorTexts::with_causes("Connect could not be reached.", &chain);
        assert_eq!(texts.note.as_deref(), Some("dns error: no such host"));
        let alone = ErrorTexts::with_causes("Connect could not be reached.", &Cause("outer", None));
        assert_eq!(alone.note, None);
    }
}
