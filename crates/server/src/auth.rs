//! Tokens: who may ask for what.
//!
//! Invariant: a token's text is neither kept nor printed, only its digest; digests are
//! compared in constant time.

use axum::http::{HeaderMap, header};
use evenkeel_engine::{Scope, TokenSettings};

use crate::error::ApiError;
use crate::server::ServerError;

/// The fewest characters that a token may have.
pub const TOKEN_CHARS_MIN: usize = 16;

/// The tokens of a server; with none, everyone may do everything.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    known: Vec<(blake3::Hash, Vec<Scope>)>,
}

impl Tokens {
    /// Reads the tokens that settings name.
    ///
    /// # Errors
    /// If one is missing or too short.
    pub fn read(settings: &[TokenSettings]) -> Result<Self, ServerError> {
        let known = settings
            .iter()
            .map(|token| {
                let text = secret(token)?;
                Ok((blake3::hash(text.as_bytes()), token.scopes.clone()))
            })
            .collect::<Result<_, ServerError>>()?;
        Ok(Tokens { known })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a request with these headers may do what a scope allows.
    pub(crate) fn check(&self, headers: &HeaderMap, wanted: Scope) -> Result<(), ApiError> {
        if self.known.is_empty() {
            return Ok(());
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| blake3::hash(token.trim().as_bytes()));
        let Some(given) = given else {
            return Err(ApiError::new("UNAUTHENTICATED", "a token is needed")
                .with_hint("send the header `Authorization: Bearer TOKEN`"));
        };
        // `blake3::Hash` compares in constant time; all are compared.
        let scopes = self
            .known
            .iter()
            .fold(None, |found, (known, scopes)| match *known == given {
                true => Some(scopes),
                false => found,
            });
        match scopes {
            None => Err(ApiError::new("UNAUTHENTICATED", "the token is not known")),
            Some(scopes) if scopes.contains(&wanted) || scopes.contains(&Scope::Admin) => Ok(()),
            Some(_) => Err(ApiError::new(
                "FORBIDDEN",
                format!("the token lacks the scope `{}`", scope_name(wanted)),
            )),
        }
    }
}

/// A token's text from where its settings say that it is.
///
/// # Errors
/// If it is not there, or too short.
pub fn secret(token: &TokenSettings) -> Result<String, ServerError> {
    let wrong = |reason: String| ServerError::Token {
        name: token.name.clone(),
        reason,
    };
    let text = match (&token.env, &token.file) {
        (Some(variable), None) => std::env::var(variable)
            .map_err(|_| wrong(format!("the environment variable `{variable}` is not set")))?,
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|e| wrong(format!("cannot read `{}`: {e}", path.display())))?,
        _ => return Err(wrong("give it either `env` or `file`".to_owned())),
    };
    let text = text.trim();
    if text.chars().count() < TOKEN_CHARS_MIN {
        return Err(wrong(format!(
            "it has fewer than {TOKEN_CHARS_MIN} characters"
        )));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong(
            "it has characters that no header can carry".to_owned(),
        ));
    }
    Ok(text.to_owned())
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
        Scope::Admin => "admin",
    }
}
