// #[task("type")]
fn r#type(r#in: u8) {}
///The parameters of the task [`type`].
#[must_use = "a job does nothing until it is enqueued"]
struct Type {
    ///The `in` parameter of [`type`].
    r#in: u8,
}
#[allow(dead_code, deprecated)]
impl Type {
    ///Makes a job that calls [`type`] with these parameters once it is enqueued.
    fn new(r#in: u8) -> Self {
        Self { r#in: r#in }
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
    const __PARAMS: &[__q::ParamInfo] = &[__q::ParamInfo::required("in", "u8")];
    fn __read(object: &mut __q::Object) -> __q::Option<Type> {
        let p0 = <u8 as __q::TaskParam>::take(object, &__PARAMS[0]);
        __q::Some(Type { r#in: p0? })
    }
    impl __q::Serialize for Type {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 1usize)?;
            <u8 as __q::TaskParam>::put(&self.r#in, "in", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for Type {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for Type
    where
        u8: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                r#in: __q::Clone::clone(&self.r#in),
            }
        }
    }
    impl __q::Debug for Type
    where
        u8: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("Type").field("in", &self.r#in).finish()
        }
    }
    impl __q::PartialEq for Type
    where
        u8: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.r#in, &other.r#in) && true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "type",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!());
    impl __q::Task for Type {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(&r#type(params.r#in))
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_type {
        () => {};
    }
};
