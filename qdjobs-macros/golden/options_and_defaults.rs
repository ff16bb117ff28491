// #[task("report", queue = "slow", priority = -1, retries = MANY, timeout = "1h30m", params = MakeReport,
           backoff = exponential("2s", factor = 1.5, max = "1h"), aliases("report.v1"), crate = crate::jobs)]
fn report(day: String, lang: &str, draft: bool, pages: u32, wait: Duration) {}
///The parameters of the task [`report`].
#[must_use = "a job does nothing until it is enqueued"]
struct MakeReport {
    ///The `day` parameter of [`report`].
    day: String,
    ///The `lang` parameter of [`report`].
    lang: crate::jobs::__private::String,
    ///The `draft` parameter of [`report`].
    draft: bool,
    ///The `pages` parameter of [`report`].
    pages: u32,
    ///The `wait` parameter of [`report`].
    wait: Duration,
}
#[allow(dead_code, deprecated)]
impl MakeReport {
    ///Makes a job that calls [`report`] with these parameters once it is enqueued.
    fn new(day: impl crate::jobs::__private::Into<String>, wait: Duration) -> Self {
        Self {
            day: crate::jobs::__private::Into::into(day),
            lang: <Self as crate::jobs::__private::ParamDefault<1>>::value(),
            draft: <bool as crate::jobs::__private::Default>::default(),
            pages: <Self as crate::jobs::__private::ParamDefault<3>>::value(),
            wait: wait,
        }
    }
    /// Enqueues the job with the task's default options. The return type depends on the target.
    fn enqueue<Q: crate::jobs::__private::Enqueue>(
        self,
        target: Q,
    ) -> <Q as crate::jobs::__private::Enqueue>::Answer<
        <Self as crate::jobs::__private::Task>::Output,
    > {
        crate::jobs::__private::enqueue(self, target)
    }
}
#[allow(dead_code, deprecated, unexpected_cfgs, unreachable_code, unused_imports)]
const _: () = {
    use crate::jobs::__private::{self as __q, OtherError as _, Plain as _};
    impl __q::ParamDefault<1> for MakeReport {
        type Value = __q::String;
        fn value() -> __q::String {
            __q::Into::into("en")
        }
    }
    impl __q::ParamDefault<3> for MakeReport {
        type Value = u32;
        fn value() -> u32 {
            10
        }
    }
    const __PARAMS: &[__q::ParamInfo] = &[
        __q::ParamInfo::required("day", "String"),
        __q::ParamInfo::optional("lang", "String"),
        __q::ParamInfo::optional("draft", "bool"),
        __q::ParamInfo::optional("pages", "u32").aliases(&["pages_max"]),
        __q::ParamInfo::required("wait", "Duration"),
    ];
    fn __read(object: &mut __q::Object) -> __q::Option<MakeReport> {
        let p0 = <String as __q::TaskParam>::take(object, &__PARAMS[0]);
        let p1 = <__q::String as __q::TaskParam>::take_or(
            object,
            &__PARAMS[1],
            <MakeReport as __q::ParamDefault<1>>::value,
        );
        let p2 = <bool as __q::TaskParam>::take_or(
            object,
            &__PARAMS[2],
            <bool as __q::Default>::default,
        );
        let p3 = <u32 as __q::TaskParam>::take_or(
            object,
            &__PARAMS[3],
            <MakeReport as __q::ParamDefault<3>>::value,
        );
        let p4 = __q::take_with(object, &__PARAMS[4], |from| seconds::deserialize(from));
        __q::Some(MakeReport {
            day: p0?,
            lang: p1?,
            draft: p2?,
            pages: p3?,
            wait: p4?,
        })
    }
    impl __q::Serialize for MakeReport {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 5usize)?;
            <String as __q::TaskParam>::put(&self.day, "day", &mut object)?;
            <__q::String as __q::TaskParam>::put(&self.lang, "lang", &mut object)?;
            <bool as __q::TaskParam>::put(&self.draft, "draft", &mut object)?;
            <u32 as __q::TaskParam>::put(&self.pages, "pages", &mut object)?;
            {
                struct With<'a>(&'a MakeReport);
                impl __q::Serialize for With<'_> {
                    fn serialize<S: __q::Serializer>(
                        &self,
                        serializer: S,
                    ) -> __q::Result<S::Ok, S::Error> {
                        seconds::serialize(&self.0.wait, serializer)
                    }
                }
                __q::SerializeMap::serialize_entry(&mut object, "wait", &With(self))?;
            }
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for MakeReport {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for MakeReport
    where
        String: for<'unused> __q::Clone,
        bool: for<'unused> __q::Clone,
        u32: for<'unused> __q::Clone,
        Duration: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                day: __q::Clone::clone(&self.day),
                lang: __q::Clone::clone(&self.lang),
                draft: __q::Clone::clone(&self.draft),
                pages: __q::Clone::clone(&self.pages),
                wait: __q::Clone::clone(&self.wait),
            }
        }
    }
    impl __q::Debug for MakeReport
    where
        String: for<'unused> __q::Debug,
        bool: for<'unused> __q::Debug,
        u32: for<'unused> __q::Debug,
        Duration: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("MakeReport")
                .field("day", &self.day)
                .field("lang", &self.lang)
                .field("draft", &self.draft)
                .field("pages", &self.pages)
                .field("wait", &self.wait)
                .finish()
        }
    }
    impl __q::PartialEq for MakeReport
    where
        String: for<'unused> __q::PartialEq,
        bool: for<'unused> __q::PartialEq,
        u32: for<'unused> __q::PartialEq,
        Duration: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.day, &other.day)
                && __q::PartialEq::eq(&self.lang, &other.lang)
                && __q::PartialEq::eq(&self.draft, &other.draft)
                && __q::PartialEq::eq(&self.pages, &other.pages)
                && __q::PartialEq::eq(&self.wait, &other.wait) && true
        }
    }
    const THE_RETRIES: u32 = MANY;
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "report",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!())
        .aliases(&["report.v1"])
        .options(
            __q::TaskOptions::DEFAULT
                .queue("slow")
                .priority(-1)
                .retries(THE_RETRIES)
                .backoff(
                    __q::Backoff::exponential(
                        __q::Duration::from_millis(2000u64),
                        1.5f64,
                        __q::Duration::from_millis(3600000u64),
                    ),
                )
                .timeout(__q::Duration::from_millis(5400000u64)),
        );
    impl __q::Task for MakeReport {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(
            &report(params.day, &params.lang, params.draft, params.pages, params.wait),
        )
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_report {
        () => {};
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_report_v1_ba73e10e {
        () => {};
    }
    #[cfg(rust_analyzer)]
    use __q::options::{
        queue as _, priority as _, retries as _, timeout as _, params as _, backoff as _,
        aliases as _,
    };
};
