//! Restored controllers, and old ones that come back.

use super::*;
use muster_shared::incarnation::Incarnation;

fn claim(number: u64, id: u128) -> Claim {
    Claim { incarnation: Incarnation { number, id: Uuid::from_u128(id) }, signature: "3044".to_owned() }
}

/// Settings of an agent that has met an incarnation, with what it keeps.
fn having_met(
    urls: &[&str],
    kind: TransportKind,
    authority: &Authority,
    met: Option<Claim>,
) -> (UplinkSettings, Rc<Incarnations>) {
    let kept = Rc::new(Incarnations::default());
    let settings = UplinkSettings {
        met,
        incarnations: kept.clone(),
        ..settings(urls, kind, authority.agent_keys(false))
    };
    (settings, kept)
}

#[actix_rt::test]
async fn each_higher_incarnation_is_kept_and_told_to_the_next() {
    let kind = TransportKind::Websocket;
    let authority = Authority::new();
    let mut server = Server::start(&authority, kind).await;
    server.show_incarnation(&claim(1, 7));
    let (settings, kept) = having_met(&[&server.url], kind, &authority, None);
    let setting = start(settings);
    let first = server.message().await;
    assert_eq!(first.incarnation, None, "there was none to tell of");
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    assert_eq!(*kept.0.borrow(), [claim(1, 7)]);
    // The next connection tells of it, and meets a restored controller, whose policy counts whatever its number.
    server.show_incarnation(&claim(2, 9));
    server.drop_connections();
    let second = server.message().await;
    assert_eq!(second.incarnation, Some(claim(1, 7).to_string()));
    let older = policy_offer(b"an older revision".to_vec());
    second.say(ServerToAgent { remote_config: Some(older), ..hello() }).await;
    let applying = server.message().await;
    assert_eq!(policy_status(&applying.message), Some((RemoteConfigStatuses::Applying, String::new())));
    assert_eq!(*kept.0.borrow(), [claim(1, 7), claim(2, 9)]);
}

#[actix_rt::test]
async fn over_http_every_answer_shows_it() {
    let authority = Authority::new();
    let kind = TransportKind::Http;
    let mut server = Server::start(&authority, kind).await;
    server.show_incarnation(&claim(2, 9));
    let (settings, kept) = having_met(&[&server.url], kind, &authority, Some(claim(1, 7)));
    let setting = start(settings);
    let first = server.message().await;
    assert_eq!(first.incarnation, Some(claim(1, 7).to_string()));
    first.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
    assert_eq!(*kept.0.borrow(), [claim(2, 9)]);
    // An old one answers in its place, behind the same name: what it says is not heard.
    server.show_incarnation(&claim(1, 7));
    let gap = component("source/audit", HealthState::Degraded, "gap");
    setting.uplink.send(ReportHealth(vec![gap])).await.unwrap();
    let offer = ServerToAgent { remote_config: Some(policy_offer(b"old".to_vec())), ..hello() };
    server.message().await.say(offer).await;
    let reason = setting.sink.until(HealthState::Failed).await;
    assert!(reason.contains("was replaced by a restored one"), "{reason}");
    assert!(setting.policies.offers.borrow().is_empty());
}

#[actix_rt::test]
async fn an_old_controller_hears_nothing_and_the_next_address_is_tried() {
    let authority = Authority::new();
    let kind = TransportKind::Websocket;
    for wrong in [claim(1, 7), claim(2, 8)] {
        let mut old = Server::start(&authority, kind).await;
        let mut restored = Server::start(&authority, kind).await;
        old.show_incarnation(&wrong);
        restored.show_incarnation(&claim(2, 9));
        let urls = [old.url.as_str(), restored.url.as_str()];
        let (settings, kept) = having_met(&urls, kind, &authority, Some(claim(2, 9)));
        let setting = start(settings);
        let first = restored.message().await;
        assert_eq!(first.incarnation, Some(claim(2, 9).to_string()));
        first.say(hello()).await;
        setting.sink.until(HealthState::Healthy).await;
        assert!(old.only_ends(), "nothing was reported to {wrong}");
        assert!(kept.0.borrow().is_empty(), "what is known stays");
    }
}

#[actix_rt::test]
async fn an_agent_that_knows_only_the_old_controller_says_so() {
    let authority = Authority::new();
    let kind = TransportKind::Websocket;
    let old = Server::start(&authority, kind).await;
    old.show_incarnation(&claim(1, 7));
    let (settings, _) = having_met(&[&old.url], kind, &authority, Some(claim(2, 9)));
    let setting = start(settings);
    let reason = setting.sink.until(HealthState::Failed).await;
    assert!(reason.contains("was replaced by a restored one: it is incarnation 1"), "{reason}");
}

#[actix_rt::test]
async fn a_controller_that_knows_that_it_was_replaced_is_left() {
    let authority = Authority::new();
    let kind = TransportKind::Http;
    let old = Server::start(&authority, kind).await;
    let mut restored = Server::start(&authority, kind).await;
    old.refuse(Some((410, None, r#"{"detail":"replaced by incarnation 2"}"#)));
    let urls = [old.url.as_str(), restored.url.as_str()];
    let (settings, _) = having_met(&urls, kind, &authority, Some(claim(2, 9)));
    let setting = start(settings);
    restored.message().await.say(hello()).await;
    setting.sink.until(HealthState::Healthy).await;
}
