// #[task("add")]
/// Adds.
pub fn add(a: u64, b: u64, c: u64) -> u64 {
    a + b + c
}
/// Adds.
#[must_use = "a job does nothing until it is enqueued"]
pub struct Add {
    ///The `a` parameter of [`add`].
    pub a: u64,
    ///The `b` parameter of [`add`].
    pub b: u64,
    ///The `c` parameter of [`add`].
    pub c: u64,
}
#[allow(dead_code, deprecated)]
impl Add {
    ///Makes a job that calls [`add`] with these parameters once it is enqueued.
    pub fn new(a: u64, b: u64, c: u64) -> Self {
        Self { a: a, b: b, c: c }
    }
    /// Enqueues the job with the task's default options. The return type depends on the target.
    pub fn enqueue<Q: ::qdjobs::__private::Enqueue>(
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
    const __PARAMS: &[__q::ParamInfo] = &[
        __q::ParamInfo::required("a", "u64"),
        __q::ParamInfo::required("b", "u64"),
        __q::ParamInfo::required("c", "u64"),
    ];
    fn __read(object: &mut __q::Object) -> __q::Option<Add> {
        let p0 = <u64 as __q::TaskParam>::take(object, &__PARAMS[0]);
        let p1 = <u64 as __q::TaskParam>::take(object, &__PARAMS[1]);
        let p2 = <u64 as __q::TaskParam>::take(object, &__PARAMS[2]);
        __q::Some(Add { a: p0?, b: p1?, c: p2? })
    }
    impl __q::Serialize for Add {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 3usize)?;
            <u64 as __q::TaskParam>::put(&self.a, "a", &mut object)?;
            <u64 as __q::TaskParam>::put(&self.b, "b", &mut object)?;
            <u64 as __q::TaskParam>::put(&self.c, "c", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for Add {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for Add
    where
        u64: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                a: __q::Clone::clone(&self.a),
                b: __q::Clone::clone(&self.b),
                c: __q::Clone::clone(&self.c),
            }
        }
    }
    impl __q::Debug for Add
    where
        u64: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("Add")
                .field("a", &self.a)
                .field("b", &self.b)
                .field("c", &self.c)
                .finish()
        }
    }
    impl __q::PartialEq for Add
    where
        u64: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.a, &other.a)
                && __q::PartialEq::eq(&self.b, &other.b)
                && __q::PartialEq::eq(&self.c, &other.c) && true
        }
    }
    const _: () = {
        let _ = <u64 as __q::TaskOutput>::outcome;
        type __R = u64;
        if __q::Written::<__R>::IS_RESULT {
            <__q::Option<
                (),
            >>::expect(
                __q::None,
                "`u64` hides a `Result`, so its error would be stored as a success\nhelp: write `Result<..>` as the return type",
            )
        }
    };
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "add",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!())
        .doc("Adds.");
    impl __q::Task for Add {
        type Output = u64;
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <u64 as __q::TaskOutput>::outcome(&add(params.a, params.b, params.c))
    }
    __q::inventory::submit! {
        __q::Linked(__DEF)
    }
    #[cfg(not(rust_analyzer))]
    #[doc(hidden)]
    #[allow(non_local_definitions)]
    #[macro_export]
    macro_rules! task_named_add {
        () => {};
    }
};
