//! Users are made, changed and deleted as a whole.

use super::*;
use crate::store::{MemoryStore, SharedStore};
use crate::user::LoginKind;
use muster_proto::api::{ApiTokenRequest, Scope};
use std::sync::Arc;

const PASSWORD: &str = "correct horse battery";

struct Site {
    store: SharedStore,
    accounts: Accounts,
}

impl Site {
    async fn new() -> Self {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let accounts = Accounts::new(Arc::clone(&store)).unwrap();
        let batch = accounts.set_admin(PASSWORD, now()).unwrap();
        store.apply(batch).await.unwrap();
        Self { store, accounts }
    }

    async fn create(&self, name: &str, role: Role) {
        let changed = self.accounts.create(name, role, password(), now()).await.unwrap();
        self.store.apply(changed.batch).await.unwrap();
    }

    async fn login(&self, name: &str) -> Result<String, UserError> {
        let from = "10.0.0.1".parse().unwrap();
        let login = self.accounts.login(name, password(), from, LoginKind::Bearer, now()).await;
        login.map(|s| s.token)
    }

    async fn change(&self, name: &str, change: UserChange) -> Result<(), UserError> {
        let changed = self.accounts.change(name, &change)?;
        Ok(self.store.apply(changed.batch).await?)
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

fn password() -> Zeroizing<String> {
    Zeroizing::new(PASSWORD.to_owned())
}

fn role(role: Role) -> UserChange {
    UserChange { role: Some(role), disabled: None }
}

fn disabled(disabled: bool) -> UserChange {
    UserChange { role: None, disabled: Some(disabled) }
}

#[tokio::test]
async fn names_and_passwords_are_checked() {
    let site = Site::new().await;
    let create = async |name: &str, password: &str| {
        let made = site.accounts.create(name, Role::Viewer, Zeroizing::new(password.to_owned()), now()).await;
        made.err().map(|e| e.to_string())
    };
    for name in ["", "a b", "a/b", "a\n", "ä", &"x".repeat(65), "controller", "offline"] {
        assert!(create(name, PASSWORD).await.is_some(), "{name:?}");
    }
    assert!(create("maria", "short").await.unwrap().contains("12 to 1024"));
    assert!(create("Admin", PASSWORD).await.unwrap().contains("already"));
    assert_eq!(create("maria.k@example-1_x", PASSWORD).await, None);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let site = Site::new().await;
    site.create("maria", Role::Admin).await;
    site.change("maria", disabled(true)).await.unwrap();
    for change in [role(Role::Viewer), disabled(true)] {
        assert!(matches!(site.change("admin", change).await, Err(UserError::LastAdmin)));
    }
    assert!(matches!(site.accounts.delete("admin"), Err(UserError::LastAdmin)));
    site.change("maria", disabled(false)).await.unwrap();
    site.change("admin", role(Role::Viewer)).await.unwrap();
    assert!(matches!(site.accounts.delete("maria"), Err(UserError::LastAdmin)));
}

#[tokio::test]
async fn a_role_holds_in_open_sessions_and_for_tokens_at_once() {
    let site = Site::new().await;
    site.create("maria", Role::Operator).await;
    let session = site.login("maria").await.unwrap();
    let request = ApiTokenRequest { scope: Scope::Operate, expires_in_seconds: None, note: String::new() };
    let refused = ApiTokenRequest { scope: Scope::Admin, ..request.clone() };
    assert!(matches!(
        site.accounts.make_api_token("maria", Role::Operator, &refused, now()),
        Err(UserError::ScopeTooLarge { .. })
    ));
    let (token, record, batch) =
        site.accounts.make_api_token("maria", Role::Operator, &request, now()).unwrap();
    site.store.apply(batch).await.unwrap();
    assert_eq!(site.accounts.session(&session, now()).unwrap().1, Role::Operator);
    assert_eq!(site.accounts.api_token(&token, now()).unwrap().1, Role::Operator);
    site.change("maria", role(Role::Viewer)).await.unwrap();
    assert_eq!(site.accounts.session(&session, now()).unwrap().1, Role::Viewer);
    assert_eq!(site.accounts.api_token(&token, now()).unwrap().1, Role::Viewer);
    assert!(matches!(site.accounts.api_token(&token, record.expires_at), Err(UserError::NoToken)));
    for (key, value) in site.store.snapshot().unwrap() {
        let text = key + &String::from_utf8(value).unwrap();
        assert!(!text.contains(&token) && !text.contains(&session), "only hashes are stored");
    }
}

#[tokio::test]
async fn whoever_is_disabled_is_out_and_whoever_is_deleted_leaves_nothing() {
    let site = Site::new().await;
    site.create("maria", Role::Operator).await;
    let session = site.login("maria").await.unwrap();
    let request = ApiTokenRequest { scope: Scope::Read, expires_in_seconds: Some(60), note: String::new() };
    let (token, _, batch) = site.accounts.make_api_token("maria", Role::Operator, &request, now()).unwrap();
    site.store.apply(batch).await.unwrap();
    site.change("maria", disabled(true)).await.unwrap();
    assert!(matches!(site.accounts.session(&session, now()), Err(UserError::NoSession)));
    assert!(matches!(site.accounts.api_token(&token, now()), Err(UserError::NoToken)));
    assert!(matches!(site.login("maria").await, Err(UserError::Wrong)));
    site.change("maria", disabled(false)).await.unwrap();
    assert!(matches!(site.accounts.session(&session, now()), Err(UserError::NoSession)), "it ended");
    site.accounts.api_token(&token, now()).unwrap();
    let deleted = site.accounts.delete("maria").unwrap();
    site.store.apply(deleted.batch).await.unwrap();
    site.create("maria", Role::Admin).await;
    assert!(matches!(site.accounts.api_token(&token, now()), Err(UserError::NoToken)), "not the new one's");
}

#[tokio::test]
async fn one_user_cannot_push_out_the_sessions_of_others() {
    let site = Site::new().await;
    site.create("maria", Role::Viewer).await;
    let admin = site.login("admin").await.unwrap();
    let first = site.login("maria").await.unwrap();
    let record = site.accounts.user("maria").unwrap().unwrap();
    for _ in 0..60 {
        let (_, _, batch) = site.accounts.begin(&record, "10.0.0.1".parse().unwrap(), false, now()).unwrap();
        site.store.apply(batch).await.unwrap();
    }
    assert_eq!(site.accounts.open_sessions(Some("maria"), "", now()).unwrap().len(), 50);
    site.accounts.session(&admin, now()).unwrap();
    assert!(matches!(site.accounts.session(&first, now()), Err(UserError::NoSession)), "the oldest gave way");
}
