//! Tests of the service over HTTP: the behavior of the reference, then the extensions.

use std::fs;

use serde_json::{Value, json};

use crate::service::{Answer, Service, json};
use crate::sink::{Manner, Sink};

fn seed() -> Value {
    json!({"task": "send_email", "params": {"to": "user@example.com", "subject": "Test", "body": "Hello World"}})
}

/// A job that is due in a year.
fn waiting() -> Value {
    let mut job = seed();
    job["delay"] = json!(31_536_000);
    job
}

/// Asserts an error response with this status, whose `error` contains this text.
#[track_caller]
fn refused(answer: &Answer, status: u16, says: &str) {
    assert_eq!(answer.status(), status, "{}", answer.body());
    let error = json(answer)["error"].as_str().expect("an error has a text").to_owned();
    assert!(error.contains(says), "`{says}` is missing in: {error}");
}

fn ids(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status(), 200, "{}", answer.body());
    json(answer).as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

/// `2026-11-23T16:40:39.336066`
fn is_instant(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 26 && text.as_bytes()[19] == b'.' && format!("{text}Z").parse::<qdjobs::Timestamp>().is_ok()
}

#[test]
fn a_job_is_created_run_and_shown_as_the_reference_does() {
    let service = Service::start("http-life");
    let answer = service.post(seed());
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], "/jobs/1");
    let job = json(&answer);
    for (field, value) in [
        ("id", json!(1)),
        ("name", json!("send_email")),
        ("task_name", json!("send_email")),
        ("params", seed()["params"].clone()),
        ("status", json!("pending")),
        ("result", Value::Null),
        ("error", Value::Null),
        ("started_at", Value::Null),
        ("completed_at", Value::Null),
        ("duration", Value::Null),
    ] {
        assert_eq!(job.get(field), Some(&value), "{field}");
    }
    assert!(is_instant(&job["created_at"]), "{job}");

    let done = service.ended(1);
    assert_eq!(done["status"], "completed");
    assert_eq!(done["result"]["sent"], true);
    assert_eq!(done["result"]["to"], "user@example.com");
    assert!(is_instant(&done["started_at"]) && is_instant(&done["completed_at"]), "{done}");
    assert!(done["duration"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{done}");
    let letter = service.folder.0.join(done["result"]["via"].as_str().unwrap());
    assert!(fs::read_to_string(letter).unwrap().contains("Hello World"));
}

#[test]
fn jobs_are_listed_newest_first_and_by_status() {
    let service = Service::start("http-list");
    assert_eq!(service.get("/jobs").body(), "[]");
    let first = service.create("send_email", seed()["params"].clone());
    service.ended(first);
    let failed = service.create("process_image", json!({"image_path": "missing.png", "operations": []}));
    service.ended(failed);
    let waiting = json(&service.post(waiting()))["id"].as_i64().unwrap();
    assert_eq!(ids(&service.get("/jobs")), [waiting, failed, first]);
    assert_eq!(ids(&service.get("/jobs?status=completed")), [first]);
    assert_eq!(ids(&service.get("/jobs?status=failed")), [failed]);
    assert_eq!(ids(&service.get("/jobs?status=pending")), [waiting]);
    assert_eq!(service.get("/jobs?status=running").body(), "[]");
    assert_eq!(ids(&service.get("/jobs?status=")), [waiting, failed, first]);
    assert_eq!(ids(&service.get("/jobs?task=process_image")), [failed]);
    assert_eq!(ids(&service.get("/jobs?queue=mail&status=pending")), [waiting]);
    refused(&service.get("/jobs?status=bogus"), 400, "pending, running, completed, failed, cancelled");
}

#[test]
fn a_number_is_stored_as_it_was_written_or_refused_by_its_place() {
    let service = Service::start("http-numbers");
    let body = |number: &str| {
        format!(
            r#"{{"task": "generate_report", "delay": 9999, "metadata": {{"z": 1.50, "a": {number}}},
                "params": {{"report_type": "sales", "params": {{"z": 1.50, "list": [0, {number}]}}}}}}"#
        )
    };
    for wide in ["18446744073709551616", "-9223372036854775809", "99999999999999999999999999"] {
        let answer = service.post(body(wide));
        assert_eq!(answer.status(), 422, "{}", answer.body());
        for words in ["params.params.list[1]", wide, "64 bits"] {
            assert!(answer.body().contains(words), "{words}: {}", answer.body());
        }
    }
    assert_eq!(service.get("/jobs").body(), "[]");
    let stored = service.post(body("18446744073709551615"));
    assert_eq!(stored.status(), 201, "{}", stored.body());
    let written = r#""params":{"report_type":"sales","params":{"z":1.50,"list":[0,18446744073709551615]}}"#;
    assert!(stored.body().contains(written), "{}", stored.body());
}

#[test]
fn a_page_of_jobs_links_to_the_next_one() {
    let service = Service::start("http-pages");
    for _ in 0..5 {
        service.post(waiting());
    }
    let mut seen = Vec::new();
    let mut path = "/jobs?limit=2&status=pending".to_owned();
    loop {
        let answer = service.get(&path);
        seen.push(ids(&answer));
        let Some(link) = answer.headers().get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, [vec![5, 4], vec![3, 2], vec![1]]);
    for (query, says) in [
        ("limit=0", "`limit`"),
        ("limit=1001", "from 1 to 1000"),
        ("limit=-1", "`limit`"),
        ("after=x", "`after`"),
        ("stauts=failed", "did you mean `status`"),
        ("foo=1", "the parameters are status"),
        ("status=failed&status=pending", "twice"),
    ] {
        refused(&service.get(&format!("/jobs?{query}")), 400, says);
    }
}

#[test]
fn a_page_of_large_jobs_ends_before_it_is_too_large() {
    let service = Service::start("http-large-pages");
    let mut job = waiting();
    job["params"]["body"] = "x".repeat(qdjobs::Job::JSON_BYTES_MAX - 100).into();
    job["metadata"] = json!({"note": "y".repeat(qdjobs::Job::JSON_BYTES_MAX - 100)});
    for _ in 0..4 {
        let answer = service.post(&job);
        assert_eq!(answer.status(), 201, "{:.200}", answer.body());
    }
    let first = service.get("/jobs");
    assert!(first.body().len() <= 8 << 20, "{} bytes", first.body().len());
    assert_eq!(
        (ids(&first), &first.headers()["link"]),
        (vec![4, 3, 2], &"</jobs?after=2>; rel=\"next\"".parse().unwrap())
    );
    let second = service.get("/jobs?after=2");
    assert_eq!((ids(&second), second.headers().get("link")), (vec![1], None));
}

#[test]
fn all_jobs_are_listed_up_to_a_thousand_since_a_client_of_the_reference_does_not_page() {
    let service = Service::start("http-thousand");
    service.store_waiting(1_001);
    let all = service.get("/jobs");
    assert_eq!(ids(&all), (2..=1_001).rev().collect::<Vec<i64>>());
    assert_eq!(all.headers()["link"], "</jobs?after=2>; rel=\"next\"");
    assert_eq!(ids(&service.get("/jobs?after=2")), [1]);
}

#[test]
fn a_job_that_does_not_exist_is_a_404_in_json() {
    let service = Service::start("http-missing");
    for path in
        ["/jobs/999", "/jobs/abc", "/jobs/-1", "/jobs/+1", "/jobs/99999999999999999999", "/jobs/999/attempts"]
    {
        refused(&service.get(path), 404, "no job");
        assert_eq!(service.delete("/jobs/999").status(), 404);
    }
    for path in ["/nowhere", "/jobs/", "/jobs/1/2/3", "/favicon.ico", "/jobs/%ff"] {
        let answer = service.get(path);
        assert_eq!(answer.status(), 404, "{path}");
        assert!(json(&answer)["error"].is_string());
    }
}

#[test]
fn the_error_for_an_unknown_task_suggests_a_known_one() {
    let service = Service::start("http-unknown");
    refused(&service.post(json!({"task": "send_emial", "params": {}})), 400, "send_email");
    refused(&service.post(json!({"task": "nope", "params": {}})), 400, "nope");
    assert_eq!(service.get("/jobs").body(), "[]");
}

#[test]
fn each_invalid_param_is_named_and_nothing_is_stored() {
    let service = Service::start("http-params");
    let missing = service.post(json!({"task": "send_email", "params": {"to": "x"}}));
    refused(&missing, 422, "subject");
    refused(&missing, 422, "body");
    let fields: Vec<Value> = json(&missing)["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["field"].clone())
        .collect();
    assert_eq!(fields, ["params.subject", "params.body"]);

    let mut job = seed();
    job["params"]["sbject"] = json!("x");
    refused(&service.post(&job), 422, "sbject");
    job = seed();
    job["params"]["to"] = json!(5);
    refused(&service.post(&job), 422, "to");
    let sharpen =
        json!({"task": "process_image", "params": {"image_path": "a.png", "operations": ["sharpen"]}});
    refused(&service.post(sharpen), 422, "resize:WxH");

    for (field, value) in [
        ("delay", json!(-1)),
        ("delay", json!(1e300)),
        ("scheduled_at", json!("1969-01-01T00:00:00")),
        ("priority", json!("high")),
        ("max_retries", json!(-1)),
        ("queue", json!("a b")),
        ("name", json!("x".repeat(101))),
        ("metadata", json!("x")),
        ("prioritty", json!(1)),
    ] {
        let mut job = seed();
        job[field] = value;
        refused(&service.post(job), 422, field);
    }
    assert_eq!(service.get("/jobs").body(), "[]");
}

#[test]
fn a_body_that_is_not_json_or_too_large_is_refused_in_json() {
    let service = Service::start("http-garbage");
    for body in ["{", "", "[]", "\u{0}", "{\"task\": NaN}", "{\"task\": \"a\", \"task\": \"b\"}"] {
        refused(&service.post(body), 400, "");
    }
    refused(&service.post("[".repeat(100_000)), 400, "deeper");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        refused(&service.post_as(kind, seed()), 415, "application/json");
    }
    assert_eq!(service.post_as("Application/JSON; charset=utf-8", waiting()).status(), 201);
    let mut large = waiting();
    large["params"]["body"] = json!("x".repeat(1_000_000));
    assert_eq!(service.post(&large).status(), 201);
    large["params"]["body"] = json!("x".repeat(1_100_000));
    refused(&service.post(&large), 413, "bytes");
    large["params"]["body"] = json!("x".repeat(3_000_000));
    refused(&service.post(&large), 413, "bytes");
    assert_eq!(ids(&service.get("/jobs")).len(), 2);
}

#[test]
fn a_wrong_method_is_refused_with_the_allowed_ones() {
    let service = Service::start("http-methods");
    let answer = service.order("/jobs/1");
    refused(&answer, 405, "POST");
    assert!(answer.headers()["allow"].to_str().unwrap().contains("DELETE"));
    refused(&service.delete("/jobs"), 405, "DELETE");
}

#[test]
fn options_reach_the_job() {
    let service = Service::start("http-options");
    let job = json!({
        "task": "send_email", "params": seed()["params"], "name": "Welcome, Ann", "queue": "slow", "priority": 7,
        "scheduled_at": "2999-01-01T00:00:00", "max_retries": 9, "metadata": {"order": 12}, "idempotency_key": "welcome-12"
    });
    let stored = json(&service.get(&format!("/jobs/{}", json(&service.post(&job))["id"])));
    for (field, value) in job.as_object().unwrap() {
        match field.as_str() {
            "task" => assert_eq!(stored["task_name"], *value),
            "scheduled_at" => assert_eq!(stored[field], "2999-01-01T00:00:00.000000"),
            field => assert_eq!(stored[field], *value, "{field}"),
        }
    }
}

#[test]
fn a_repeated_request_with_an_idempotency_key_returns_the_stored_job() {
    let service = Service::start("http-unique");
    let mut job = waiting();
    job["idempotency_key"] = json!("welcome-42");
    let first = service.post(&job);
    assert_eq!(first.status(), 201, "{}", first.body());
    let id = json(&first)["id"].as_i64().unwrap();
    service.order(&format!("/jobs/{id}/cancel"));
    let again = service.post(&job);
    assert_eq!(again.status(), 201, "{}", again.body());
    assert_eq!((&json(&again)["id"], &json(&again)["status"]), (&json!(id), &json!("cancelled")));
    assert_eq!(again.headers()["location"].to_str().unwrap(), format!("/jobs/{id}"));
    job["params"]["subject"] = json!("something else");
    refused(&service.post(&job), 409, &format!("job {id} already has the idempotency key"));
    assert_eq!(ids(&service.get("/jobs")), [id]);
    service.delete(&format!("/jobs/{id}"));
    assert_eq!(service.post(&job).status(), 201);
}

#[test]
fn jobs_are_cancelled_retried_and_deleted_if_their_status_allows_it() {
    let service = Service::start("http-control");
    let waiting = json(&service.post(waiting()))["id"].as_i64().unwrap();
    assert_eq!(json(&service.order(&format!("/jobs/{waiting}/cancel")))["status"], "cancelled");
    refused(&service.order(&format!("/jobs/{waiting}/cancel")), 409, "cancelled");
    let retried = service.order(&format!("/jobs/{waiting}/retry"));
    assert_eq!(retried.status(), 200, "{}", retried.body());
    assert_eq!(service.ended(waiting)["status"], "completed");
    refused(&service.order(&format!("/jobs/{waiting}/retry")), 409, "completed");
    assert_eq!(service.delete(&format!("/jobs/{waiting}")).status(), 200);
    refused(&service.get(&format!("/jobs/{waiting}")), 404, "no job");
    refused(&service.order("/jobs/999/retry"), 404, "999");
}

#[test]
fn images_and_reports_are_written() {
    let service = Service::start("http-tasks");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/sample.png"), service.folder.0.join("sample.png"))
        .unwrap();
    let params = json!({"image_path": "sample.png", "operations": ["resize:200x200", "optimize"]});
    let done = service.ended(service.create("process_image", params));
    assert_eq!((&done["result"]["processed"], &done["result"]["path"]), (&json!(true), &json!("sample.png")));
    assert!(service.folder.0.join(done["result"]["output"].as_str().unwrap()).exists());

    let params = json!({"image_path": "/etc/hostname", "operations": []});
    let failed = service.ended(service.create("process_image", params));
    assert_eq!((&failed["status"], &failed["retry_count"]), (&json!("failed"), &json!(0)));
    assert!(failed["error"].as_str().unwrap().contains("QDJOBS_IMAGES"), "{failed}");

    let done =
        service.ended(service.create("generate_report", json!({"report_type": "sales", "params": {}})));
    assert_eq!(done["result"]["report_url"], "/reports/sales.pdf", "{done}");
    assert_eq!(done["result"]["jobs"], 2);
    for (format, content_type, starts) in
        [("csv", "text/csv; charset=utf-8", "task,"), ("html", "text/html; charset=utf-8", "<!doctype html>")]
    {
        let params = json!({"report_type": "sales", "params": {"format": format}});
        let done = service.ended(service.create("generate_report", params));
        let answer = service.get(done["result"]["report_url"].as_str().unwrap());
        assert_eq!(answer.headers()["content-type"], content_type);
        assert!(answer.body().starts_with(starts));
    }
    let pdf = fs::read(service.folder.0.join("reports/sales.pdf")).unwrap();
    let pdf = lopdf::Document::load_mem(&pdf).unwrap();
    assert!(pdf.extract_text(&[1]).unwrap().contains("process_image"));
    let served =
        service.raw("GET /reports/sales.pdf HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(served.contains("content-type: application/pdf") && served.contains("%PDF-"), "{served:.300}");

    let refused_name = json!({"report_type": "../../etc/passwd", "params": {}});
    assert_eq!(service.ended(service.create("generate_report", refused_name))["status"], "failed");
    for path in ["/reports/none.pdf", "/reports/..%2fjobs.db", "/reports/%2e%2e/jobs.db", "/reports/jobs.db"]
    {
        refused(&service.get(path), 404, "");
    }
}

#[test]
fn a_job_that_can_never_succeed_is_not_retried() {
    let service = Service::start("http-never");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/sample.png");
    // The image can be read, but the name of its output would be too long.
    let long = format!("{}.png", "n".repeat(251));
    fs::copy(sample, service.folder.0.join(&long)).unwrap();
    fs::write(service.folder.0.join("outbox"), "not a directory").unwrap();
    fs::write(service.folder.0.join("reports"), "not a directory").unwrap();
    for (task, params) in [
        ("process_image", json!({"image_path": long, "operations": ["optimize"]})),
        ("process_image", json!({"image_path": "n".repeat(300), "operations": []})),
        ("process_image", json!({"image_path": "a\u{0}b", "operations": []})),
        ("send_email", seed()["params"].clone()),
        ("generate_report", json!({"report_type": "daily", "params": {}})),
    ] {
        let failed = service.ended(service.create(task, params));
        let ended = (&failed["status"], &failed["attempt"], &failed["retry_count"]);
        assert_eq!(ended, (&json!("failed"), &json!(1), &json!(0)), "{failed}");
    }
}

#[test]
fn mail_is_sent_again_after_a_temporary_error_and_not_after_a_permanent_one() {
    let sink = Sink::start([
        Manner::Refuse("550 no such user here"),
        Manner::Busy,
        Manner::DropAfterDot,
        Manner::Accept,
    ]);
    let service =
        Service::start_with("http-smtp", &[("SMTP_URL", &sink.url), ("MAIL_FROM", "shop@example.com")]);
    let failed = service.ended(service.create("send_email", seed()["params"].clone()));
    assert_eq!((&failed["status"], &failed["attempt"]), (&json!("failed"), &json!(1)));
    assert!(failed["error"].as_str().unwrap().contains("no such user here"), "{failed}");
    sink.next();

    let done = service.ended(service.create("send_email", seed()["params"].clone()));
    assert_eq!(
        (&done["status"], &done["attempt"], &done["retry_count"]),
        (&json!("completed"), &json!(3), &json!(2))
    );
    assert_eq!(sink.next().letter, None);
    let (unanswered, answered) = (sink.next(), sink.next());
    assert_eq!(answered.from, "shop@example.com");
    assert_eq!(unanswered, answered, "a repeat is the same letter");
    let attempts = json(&service.get(&format!("/jobs/{}/attempts", done["id"])));
    assert!(attempts[0]["error"].as_str().unwrap().contains("421"), "{attempts}");
}

#[test]
fn the_page_lists_tasks_and_endpoints_and_escapes_the_texts_of_jobs() {
    let service = Service::start("http-page");
    let mut job = waiting();
    job["name"] = json!("<img src=x onerror=alert(1)>");
    service.post(job);
    let page = service.get("/");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for shown in
        ["send_email", "process_image", "generate_report", "image_path", "POST", "/jobs/:id", "curl "]
    {
        assert!(page.body().contains(shown), "{shown}");
    }
    assert!(page.body().contains("&lt;img src=x") && !page.body().contains("<img"));
    for (path, kind) in
        [("/style.css", "text/css; charset=utf-8"), ("/live.js", "text/javascript; charset=utf-8")]
    {
        assert_eq!(service.get(path).headers()["content-type"], kind);
    }
}

#[test]
fn the_health_check_succeeds_until_the_database_is_found_damaged() {
    let service = Service::start("http-health");
    let well = service.get("/health");
    assert_eq!((well.status().as_u16(), &json(&well)["state"]), (200, &json!("ok")));
    let id = service.create("send_email", seed()["params"].clone());
    service.ended(id);

    let db = service.folder.0.join("jobs.db");
    let conn = qdjobs::rusqlite::Connection::open(&db).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    // The log is empty, and the service has no page of the file in its cache.
    conn.execute_batch("UPDATE qdjobs_jobs SET name = 'x'; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    let mut bytes = fs::read(&db).unwrap();
    bytes[4096..].fill(0xd7);
    fs::write(&db, bytes).unwrap();

    // The kind of the error depends on whether this request or the worker finds the damage first.
    let first = service.post(waiting());
    refused(&first, if first.status() == 500 { 500 } else { 503 }, "damaged");
    refused(&service.post(waiting()), 503, "the store has halted");
    let ill = service.get("/health");
    assert_eq!((ill.status().as_u16(), &json(&ill)["state"]), (503, &json!("halted")));
    assert!(json(&ill)["reason"].as_str().unwrap().contains("restart the program"), "{}", ill.body());
}

#[test]
fn every_route_accepts_its_own_host_names_only() {
    let service = Service::start("http-rebinding");
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/style.css"),
        ("GET", "/live.js"),
        ("GET", "/jobs"),
        ("POST", "/jobs"),
        ("GET", "/jobs/1"),
        ("DELETE", "/jobs/1"),
        ("GET", "/jobs/1/attempts"),
        ("POST", "/jobs/1/retry"),
        ("POST", "/jobs/1/cancel"),
        ("GET", "/reports/a.pdf"),
        ("GET", "/health"),
        ("GET", "/nowhere"),
        ("PUT", "/jobs"),
    ] {
        let ask = |headers: &str| {
            let answer =
                service.raw(&format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(ask("Host: evil.example\r\n"), "421", "{method} {path}");
        assert_eq!(ask(""), "400", "{method} {path}");
        assert!(!["421", "403"].contains(&ask("Host: localhost\r\n").as_str()), "{method} {path}");
        let foreign = ask("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n");
        assert_eq!(foreign == "403", method != "GET", "{method} {path}: {foreign}");
    }
}
