//! Every kind of caller there is: nobody, and each scope held by a key and by a token.

use sidedoor_domain::authority::Scope;

use super::app::{BACK_END, Call, EVENTS, OPERATOR, READER, SUPERVISOR_1, TestApp, TestAppBuilder};
use super::issuer::{AUDIENCE, Answers, KeyServer, Signer, claims};

/// A caller, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    Nobody,
    /// Somebody with a credential that is not good.
    Stranger,
    Key(Scope),
    Token(Scope),
}

impl Role {
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Nobody | Self::Stranger => None,
            Self::Key(scope) | Self::Token(scope) => Some(scope),
        }
    }
}

/// All of them; a new scope is among them by itself.
pub const ROLES: [Role; 2 + 2 * Scope::ALL.len()] = {
    let mut roles = [Role::Nobody; 2 + 2 * Scope::ALL.len()];
    roles[1] = Role::Stranger;
    let mut i = 0;
    while i < Scope::ALL.len() {
        roles[2 + 2 * i] = Role::Key(Scope::ALL[i]);
        roles[3 + 2 * i] = Role::Token(Scope::ALL[i]);
        i += 1;
    }
    roles
};

/// The issuer of their tokens, one name of it for each scope. `supervise` is held by supervisor-1.
pub struct Callers {
    signer: Signer,
    server: KeyServer,
}

fn issuer_of(scope: Scope) -> String {
    format!("https://idp.example/{}", scope.as_str())
}

impl Callers {
    pub async fn new() -> Self {
        let signer = Signer::ec("a");
        let server = KeyServer::start(Answers::Keys(vec![signer.jwk()])).await;
        Self { signer, server }
    }

    /// A app that knows them all, and does not lose patience with strangers.
    pub fn app(&self) -> TestAppBuilder {
        let mut built = TestApp::build().set("HTTP__AUTH_FAILURES_PER_MINUTE", "1000000");
        for (i, scope) in Scope::ALL.into_iter().enumerate() {
            for (key, value) in [
                ("ISSUER", issuer_of(scope).as_str()),
                ("AUDIENCE", AUDIENCE),
                ("JWKS_URL", &self.server.url),
                ("SCOPES", scope.as_str()),
            ] {
                built = built.set(&format!("AUTH__ISSUERS__{i}__{key}"), value);
            }
        }
        built
    }

    /// The same request, as this role makes it.
    pub fn ask_as<'h>(&self, role: Role, call: Call<'h>) -> Call<'h> {
        match role {
            Role::Nobody => call.anonymous(),
            Role::Stranger => call.key("a-key-that-nobody-has"),
            Role::Key(Scope::SuperviseAny) => call.key(BACK_END),
            Role::Key(Scope::Supervise) => call.key(SUPERVISOR_1),
            Role::Key(Scope::Read) => call.key(READER),
            Role::Key(Scope::Events) => call.key(EVENTS),
            Role::Key(Scope::Operate) => call.key(OPERATOR),
            Role::Token(scope) => {
                let mut claims = claims("supervisor-1");
                claims["iss"] = issuer_of(scope).into();
                call.key(&self.signer.sign(&claims))
            }
        }
    }
}
