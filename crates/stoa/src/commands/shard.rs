//! `stoa shard status`: the shards of every PostgreSQL store, their buckets and replicas.

use super::{Failure, Outcome};
use crate::{
    assemble,
    cli::{ProfiledFile, Shard},
    terminal::{self, style},
};
use serde_json::{Value, json};
use stoa_data::store::{self, ShardStatus};

/// Shows them.
pub(crate) fn run(arguments: &Shard, json: bool) -> Outcome {
    match arguments {
        Shard::Status(file) => status(file, json),
    }
}

fn status(file: &ProfiledFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(file))?;
    let (mut shown, mut well, mut any) = (Vec::new(), true, false);
    for position in assemble::stores_in_use(&plan) {
        let name = &plan.stores[position].name;
        let shards =
            store::shard_status(&plan, position).map_err(|e| Failure::Input(format!("store {name}: {e}")))?;
        any |= !shards.is_empty();
        well &= shards.iter().all(ShardStatus::is_well);
        if json {
            let shards: Vec<Value> = shards.iter().map(to_json).collect();
            shown.push(json!({ "store": name, "shards": shards }));
        } else {
            for shard in &shards {
                show(name, shard);
            }
        }
    }
    if json {
        terminal::result_json(&json!({ "stores": shown }));
    } else if !any {
        terminal::say("no store is PostgreSQL");
    }
    if well { Ok(()) } else { Err(Failure::Said) }
}

fn show(store: &str, shard: &ShardStatus) {
    let (good, warn) = (style::GOOD, style::WARN);
    let buckets = match (shard.mapped, shard.owned) {
        (None, None) => String::new(),
        (Some(mapped), Some(owned)) if mapped == owned && shard.differing == 0 => {
            format!(", {}", terminal::count(usize::from(owned), "bucket"))
        }
        (Some(mapped), Some(owned)) if mapped == owned => {
            format!(
                ", {warn}{}, {} of which are not those of the map{warn:#}",
                terminal::count(usize::from(owned), "bucket"),
                shard.differing.div_ceil(2)
            )
        }
        (mapped, owned) => {
            let said = |n: Option<u16>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
            format!(
                ", {warn}{} buckets by the map, {} of its own{warn:#}",
                said(mapped),
                said(owned)
            )
        }
    };
    let epoch = shard
        .epoch
        .filter(|epoch| *epoch > 0)
        .map_or_else(String::new, |epoch| format!(", epoch {epoch}"));
    let primary = match &shard.primary {
        Ok(shown) => format!("{good}{shown}{good:#}"),
        Err(why) => format!("{warn}{why}{warn:#}"),
    };
    terminal::result(format_args!(
        "{store}: shard {}: {primary}{buckets}{epoch}",
        shard.shard
    ));
    if let Some(why) = &shard.misplaced {
        terminal::result(format_args!("  {warn}{why}{warn:#}"));
    }
    for replica in &shard.replicas {
        let (role, shown) = (replica.role, &replica.shown);
        match &replica.lag_bytes {
            Ok(bytes) => terminal::result(format_args!("  {role}: {shown}, {bytes} bytes behind")),
            Err(why) => terminal::result(format_args!("  {role}: {shown}: {warn}{why}{warn:#}")),
        }
    }
}

fn to_json(shard: &ShardStatus) -> Value {
    let replica = |r: &store::ReplicaStatus| {
        json!({
            "server": r.shown,
            "role": r.role.to_string(),
            "lag_bytes": r.lag_bytes.as_ref().ok(),
            "fault": r.lag_bytes.as_ref().err(),
        })
    };
    json!({
        "shard": shard.shard,
        "primary": shard.primary.as_ref().ok(),
        "fault": shard.primary.as_ref().err().or(shard.misplaced.as_ref()),
        "buckets": shard.owned,
        "buckets_by_map": shard.mapped,
        "buckets_differing": shard.differing,
        "epoch": shard.epoch,
        "replicas": shard.replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}
