//! Ways that the plan alone decides: junctions by their key, references that are unique on every shard.

use super::*;
use std::sync::Arc;

fn plan(resources: &str) -> Arc<Plan> {
    let yaml = format!("api: x\nstores: {{ main: \"sqlite:x.db\" }}\nresources:\n{resources}");
    crate::testing::plan(&yaml)
}

fn between(join: &Join) -> Option<(usize, usize, usize)> {
    match join {
        Join::Through(through) => Some((through.resource, through.near[0].0, through.far[0].0)),
        _ => None,
    }
}

/// The words of a refusal on the alias.
fn refused(plan: &Plan, parent: usize, name: &str, hint: Option<&str>) -> stoa_exchange::Problem {
    let refusal = relation(plan, parent, name, hint).expect_err("refused");
    refusal.into_problem(true)
}

const SITES: &str = r"
  sites: { table: sites, fields: { id: 'int, key', main: 'ref projects, optional' } }
  projects: { table: projects, fields: { id: 'int, key' } }
  jobs: { table: jobs, fields: { job: 'int, key', site: 'ref sites, key', project: 'ref projects, key' } }
  visits: { table: visits, fields: { id: 'int, key', site: ref sites, project: ref projects } }
  spots: { table: spots, fields: { site: 'ref sites, key', x: int } }
";

#[test]
fn a_key_of_both_references_joins_and_other_tables_do_not() {
    let plan = plan(SITES);
    let (to, join) = relation(&plan, 0, "projects", Some("jobs")).expect("a way");
    assert_eq!((to, between(&join)), (1, Some((2, 1, 2))));
    let (to, join) = relation(&plan, 1, "sites", Some("jobs")).expect("a way");
    assert_eq!((to, between(&join)), (0, Some((2, 2, 1))));
    let (_, join) = relation(&plan, 0, "main", None).expect("a way");
    assert_eq!(join, Join::ToOne { field: 1 });
    // A table that others made joins nothing by having two references.
    assert_eq!(
        refused(&plan, 0, "projects", Some("visits"))
            .code_shown
            .as_deref(),
        Some("PGRST200")
    );
    let (_, join) = relation(&plan, 0, "spots", None).expect("a way");
    assert_eq!(join, Join::OneToOne { field: 0 });
}

#[test]
fn the_ways_are_told_in_postgrests_words() {
    let plan = plan(SITES);
    let problem = refused(&plan, 0, "projects", None);
    assert_eq!(problem.status_shown, Some(300));
    assert_eq!(
        problem.details.expect("details"),
        json!([
            {
                "cardinality": "many-to-one",
                "embedding": "sites with projects",
                "relationship": "sites_main_fkey using sites(main) and projects(id)"
            },
            {
                "cardinality": "many-to-many",
                "embedding": "sites with projects",
                "relationship": "jobs using jobs_site_fkey(site) and jobs_project_fkey(project)"
            }
        ])
    );
    assert_eq!(
        problem.hint.expect("a hint"),
        "Try changing 'projects' to one of the following: 'projects!sites_main_fkey', 'projects!jobs'. \
         Find the desired relationship in the 'details' key."
    );
}

#[test]
fn unique_on_a_sharded_resource_holds_per_shard_key() {
    let plan = plan(
        r"
  users: { fields: { id: 'uuid7, key' } }
  cards: { shard: owner, fields: { id: 'uuid7, key', owner: 'ref users, unique', twin: 'ref users, unique' } }
",
    );
    let join = |hint| relation(&plan, 0, "cards", Some(hint)).map(|(_, join)| join);
    assert_eq!(join("owner").expect("a way"), Join::OneToOne { field: 1 });
    assert_eq!(join("twin").expect("a way"), Join::ToMany { field: 2 });
}

#[test]
fn a_direct_way_comes_before_a_created_junction() {
    let plan = plan(
        r"
  authors: { fields: { id: 'int, key' } }
  books: { fields: { id: 'int, key', author: ref authors } }
  reviews: { fields: { id: 'int, key', book: ref books, author: ref authors } }
",
    );
    let (_, join) = relation(&plan, 0, "books", None).expect("a way");
    assert_eq!(join, Join::ToMany { field: 1 });
    let (_, join) = relation(&plan, 0, "books", Some("reviews")).expect("a way");
    assert_eq!(between(&join), Some((2, 2, 1)));
}

/// A table with references of several columns, one to a column that is no key, and a view of it.
const SHIFTS: &str = r"
  desks: { table: desks, fields: { hall: 'int, key', row: 'int, key', label: 'text, unique' } }
  days:
    table: days
    fields: { day: 'int, key', hall: int, row: int, other: int, label: text }
    references:
      - { name: early, fields: [hall, row], to: desks, targets: [hall, row] }
      - { name: late, fields: [other, row], to: desks, targets: [hall, row] }
      - { fields: [label], to: desks, targets: [label] }
  days_view:
    table: days_view
    fields: { hall: int, row: int }
    references:
      - { name: early, fields: [hall, row], to: desks, targets: [hall, row], derived: true }
";

#[test]
fn references_of_several_fields_are_followed_both_ways_and_by_their_names() {
    let plan = plan(SHIFTS);
    let along = |on: &[(usize, usize)], many| {
        Join::Along(Box::new(Along {
            on: on.to_vec(),
            many,
        }))
    };
    let (to, join) = relation(&plan, 1, "early", None).expect("a way");
    assert_eq!((to, join), (0, along(&[(1, 0), (2, 1)], false)));
    let (to, join) = relation(&plan, 1, "desks", Some("late")).expect("a way");
    assert_eq!((to, join), (0, along(&[(3, 0), (2, 1)], false)));
    let (_, join) = relation(&plan, 1, "label", None).expect("a way");
    assert_eq!(join, along(&[(4, 2)], false));
    // By its name, the constraint leads back to the table that has it, not to a view of it.
    let (to, join) = relation(&plan, 0, "early", None).expect("a way");
    assert_eq!((to, join), (1, along(&[(0, 1), (1, 2)], true)));
    let (to, _) = relation(&plan, 0, "days_view", None).expect("a way");
    assert_eq!(to, 2);
    let problem = refused(&plan, 1, "desks", None);
    assert_eq!(problem.code_shown.as_deref(), Some("PGRST201"));
    let details = problem.details.expect("details").to_string();
    for part in [
        "early using days(hall, row) and desks(hall, row)",
        "days_label_fkey using days(label) and desks(label)",
    ] {
        assert!(details.contains(part), "{details}");
    }
}
