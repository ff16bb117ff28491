// #[task("sync")]
fn sync_all(ctx: &JobContext, twin: &Context, db: &Db, pool: Arc<Pool>, n: u8) {}
///The parameters of the task [`sync_all`].
#[must_use = "a job does nothing until it is enqueued"]
struct SyncAll {
    ///The `n` parameter of [`sync_all`].
    n: u8,
}
#[allow(dead_code, deprecated)]
impl SyncAll {
    ///Makes a job that calls [`sync_all`] with these parameters once it is enqueued.
    fn new(n: u8) -> Self {
        Self { n: n }
    }
    /// Enqueues the job with the task's default options. The return type depends on the target.
    fn enqueue<Q: ::qdjobs::__private::Enqueue>(
        self,
        target: Q,
    ) -> <Q as ::qdjobs::__private::Enqueue>::Answer<
        <Self as ::qdjobs::__private::Task>::Output,
    > {
        ::qdjobs::__private::enqueue(self, target)
    }
}
#[allow(dead_code, deprecated, unexpected_cfgs, unreachable_code, unused_imports)]
const _: () = {
    use ::qdjobs::__private::{self as __q, OtherError as _, Plain as _};
    const __PARAMS: &[__q::ParamInfo] = &[__q::ParamInfo::required("n", "u8")];
    fn __read(object: &mut __q::Object) -> __q::Option<SyncAll> {
        let p0 = <u8 as __q::TaskParam>::take(object, &__PARAMS[0]);
        __q::Some(SyncAll { n: p0? })
    }
    impl __q::Serialize for SyncAll {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 1usize)?;
            <u8 as __q::TaskParam>::put(&self.n, "n", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for SyncAll {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for SyncAll
    where
        u8: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                n: __q::Clone::clone(&self.n),
            }
        }
    }
    impl __q::Debug for SyncAll
    where
        u8: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("SyncAll").field("n", &self.n).finish()
        }
    }
    impl __q::PartialEq for SyncAll
    where
        u8: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.n, &other.n) && true
        }
    }
    const fn __state() -> &'static [__q::StateInfo] {
        const {
            &[
                __q::StateInfo::new("db", "Db", <Db as __q::State>::type_id),
                __q::StateInfo::new(
                    "pool",
                    "Arc<Pool>",
                    <Arc<Pool> as __q::StateByValue>::type_id,
                ),
            ]
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "sync",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!())
        .state(__state());
    impl __q::Task for SyncAll {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(
            &sync_all(
                ctx,
                <Context as __q::TaskContext>::of(ctx),
                <Db as __q::State>::get(ctx)?,
                <Arc<Pool> as __q::StateByValue>::clone_of(ctx)?,
                params.n,
            ),
        )
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_sync {
        () => {};
    }
};
