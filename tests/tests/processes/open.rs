//! The first moments of a file.

use std::collections::BTreeSet;

use qdjobs::rusqlite::Connection;

use crate::scene::Scene;
use crate::victim::Victim;

#[test]
fn eight_processes_create_one_file_at_the_same_moment() {
    let scene = Scene::new();
    for round in 0..10 {
        let path = scene.path(&format!("new-{round}.db"));
        let db = path.to_str().unwrap();
        let mut victims = [0; 8].map(|_| Victim::start(&scene, ["open", db]));
        victims.iter_mut().for_each(|victim| drop(victim.wait("its start", |said| said.is("up"))));
        victims.iter_mut().for_each(|victim| victim.tell("go"));
        let mut ids = BTreeSet::new();
        for mut victim in victims {
            victim.wait_success();
            let words = victim.last_words();
            assert!(!words.iter().any(|said| said.is("trouble")), "{words:?}");
            ids.extend(words.iter().filter(|said| said.is("acked")).map(|said| said.number(0)));
        }
        assert_eq!(ids.len(), 40, "five jobs each, each with a number of its own");
        let sql = Connection::open(&path).unwrap();
        let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM qdjobs_meta"), 1);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs"), 40);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs WHERE status NOT IN ('pending', 'completed')"), 0);
        assert_eq!(one("SELECT count(*) FROM qdjobs_workers"), 0);
        assert_eq!(one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'qdjobs%' AND type = 'table'"), 6);
        let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        // Workers that stopped in peace leave nothing beside the file.
        let left = std::fs::read_dir(format!("{db}-workers"));
        assert!(left.is_err(), "{:?}", left.unwrap().collect::<Vec<_>>());
    }
}
