// #[task("old")]
/// Old.
#[cfg(unix)]
#[deprecated]
#[inline]
pub(super) fn old(n: u8) {}
#[cfg(unix)]
#[deprecated]
/// Old.
#[must_use = "a job does nothing until it is enqueued"]
pub(super) struct Old {
    /// How many.
    pub(super) n: u8,
}
#[cfg(unix)]
#[allow(dead_code, deprecated)]
impl Old {
    ///Makes a job that calls [`old`] with these parameters once it is enqueued.
    pub(super) fn new(n: u8) -> Self {
        Self { n: n }
    }
    /// Enqueues the job with the task's default options. The return type depends on the target.
    pub(super) fn enqueue<Q: ::qdjobs::__private::Enqueue>(
        self,
        target: Q,
    ) -> <Q as ::qdjobs::__private::Enqueue>::Answer<
        <Self as ::qdjobs::__private::Task>::Output,
    > {
        ::qdjobs::__private::enqueue(self, target)
    }
}
#[cfg(unix)]
#[allow(dead_code, deprecated, unexpected_cfgs, unreachable_code, unused_imports)]
const _: () = {
    use ::qdjobs::__private::{self as __q, OtherError as _, Plain as _};
    const __PARAMS: &[__q::ParamInfo] = &[
        __q::ParamInfo::required("n", "u8").doc("How many."),
    ];
    fn __read(object: &mut __q::Object) -> __q::Option<Old> {
        let p0 = <u8 as __q::TaskParam>::take(object, &__PARAMS[0]);
        __q::Some(Old { n: p0? })
    }
    impl __q::Serialize for Old {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 1usize)?;
            <u8 as __q::TaskParam>::put(&self.n, "n", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for Old {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for Old
    where
        u8: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                n: __q::Clone::clone(&self.n),
            }
        }
    }
    impl __q::Debug for Old
    where
        u8: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("Old").field("n", &self.n).finish()
        }
    }
    impl __q::PartialEq for Old
    where
        u8: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.n, &other.n) && true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "old",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!())
        .doc("Old.");
    impl __q::Task for Old {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(&old(params.n))
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_old {
        () => {};
    }
};
