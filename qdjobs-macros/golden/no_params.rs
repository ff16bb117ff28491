// #[task("cleanup")]
fn cleanup() {}
///The parameters of the task [`cleanup`].
#[must_use = "a job does nothing until it is enqueued"]
struct Cleanup {}
#[doc(hidden)]
#[allow(non_upper_case_globals, deprecated, dead_code)]
const Cleanup: Cleanup = Cleanup {};
#[allow(dead_code, deprecated)]
impl Cleanup {
    ///Makes a job that calls [`cleanup`] with these parameters once it is enqueued.
    #[allow(clippy::new_without_default)]
    fn new() -> Self {
        Self {}
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
    const __PARAMS: &[__q::ParamInfo] = &[];
    fn __read(object: &mut __q::Object) -> __q::Option<Cleanup> {
        __q::Some(Cleanup {})
    }
    impl __q::Serialize for Cleanup {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 0usize)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for Cleanup {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for Cleanup {
        fn clone(&self) -> Self {
            Self {}
        }
    }
    impl __q::Debug for Cleanup {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("Cleanup").finish()
        }
    }
    impl __q::PartialEq for Cleanup {
        fn eq(&self, other: &Self) -> bool {
            true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "cleanup",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!());
    impl __q::Task for Cleanup {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(&cleanup())
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_cleanup {
        () => {};
    }
};
