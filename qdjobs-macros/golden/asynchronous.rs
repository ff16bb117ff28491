// #[task("fetch")]
async fn fetch(url: &str, ctx: &JobContext) -> Result<String, Error> {
    body().await
}
///The parameters of the task [`fetch`].
#[must_use = "a job does nothing until it is enqueued"]
struct Fetch {
    ///The `url` parameter of [`fetch`].
    url: ::qdjobs::__private::String,
}
#[allow(dead_code, deprecated)]
impl Fetch {
    ///Makes a job that calls [`fetch`] with these parameters once it is enqueued.
    fn new(url: impl ::qdjobs::__private::Into<::qdjobs::__private::String>) -> Self {
        Self {
            url: ::qdjobs::__private::Into::into(url),
        }
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
    const __PARAMS: &[__q::ParamInfo] = &[__q::ParamInfo::required("url", "String")];
    fn __read(object: &mut __q::Object) -> __q::Option<Fetch> {
        let p0 = <__q::String as __q::TaskParam>::take(object, &__PARAMS[0]);
        __q::Some(Fetch { url: p0? })
    }
    impl __q::Serialize for Fetch {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 1usize)?;
            <__q::String as __q::TaskParam>::put(&self.url, "url", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for Fetch {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for Fetch
    where
        __q::String: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                url: __q::Clone::clone(&self.url),
            }
        }
    }
    impl __q::Debug for Fetch
    where
        __q::String: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("Fetch").field("url", &self.url).finish()
        }
    }
    impl __q::PartialEq for Fetch
    where
        __q::String: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.url, &other.url) && true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "fetch",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            {
                #[allow(unused_imports)]
                use __q::ProbeLocal as _;
                __q::run_async(
                    |ctx, json| __q::Probe(__run(ctx, json)).boxed(),
                    |ctx, json| __q::Boxed::shared(__q::Probe(__run(ctx, json)).boxed()),
                    |ctx, json| __q::Boxed::local(__q::Probe(__run(ctx, json)).boxed()),
                )
            },
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!());
    impl __q::Task for Fetch {
        type Output = <__R as __q::TaskReturn>::Output;
        const DEF: &'static __q::TaskDef = __DEF;
    }
    type __R = Result<String, Error>;
    async fn __run(ctx: __q::JobContext, json: __q::String) -> __q::Outcome {
        let params = __q::decode_owned(json, <Fetch as __q::Task>::DEF, __read)?;
        match <__R as __q::TaskReturn>::into_result(fetch(&params.url, &ctx).await) {
            __q::Ok(it) => {
                <<__R as __q::TaskReturn>::Output as __q::TaskOutput>::outcome(&it)
            }
            __q::Err(it) => __q::TaskFailure::failed(<__q::ErrorOf<__R>>::unsend(it)),
        }
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_fetch {
        () => {};
    }
};
