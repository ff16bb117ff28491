// #[task("send email", retry = 5)]
::core::compile_error! {
    "the name of a task must not contain ' '\nhelp: use 1 to 100 of the characters A-Z a-z 0-9 _ . : / - and begin with a letter or a digit"
}
::core::compile_error! {
    "unknown option `retry`\nhelp: did you mean `retries`?"
}
fn send_email(to: &str) {}
///The parameters of the task [`send_email`].
#[must_use = "a job does nothing until it is enqueued"]
struct SendEmail {
    ///The `to` parameter of [`send_email`].
    to: ::qdjobs::__private::String,
}
#[allow(dead_code, deprecated)]
impl SendEmail {
    ///Makes a job that calls [`send_email`] with these parameters once it is enqueued.
    fn new(to: impl ::qdjobs::__private::Into<::qdjobs::__private::String>) -> Self {
        Self {
            to: ::qdjobs::__private::Into::into(to),
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
    const __PARAMS: &[__q::ParamInfo] = &[__q::ParamInfo::required("to", "String")];
    fn __read(object: &mut __q::Object) -> __q::Option<SendEmail> {
        let p0 = <__q::String as __q::TaskParam>::take(object, &__PARAMS[0]);
        __q::Some(SendEmail { to: p0? })
    }
    impl __q::Serialize for SendEmail {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 1usize)?;
            <__q::String as __q::TaskParam>::put(&self.to, "to", &mut object)?;
            __q::SerializeMap::end(object)
        }
    }
    impl<'de> __q::Deserialize<'de> for SendEmail {
        fn deserialize<D: __q::Deserializer<'de>>(
            deserializer: D,
        ) -> __q::Result<Self, D::Error> {
            __q::read(deserializer, __PARAMS, __read)
        }
    }
    impl __q::Clone for SendEmail
    where
        __q::String: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                to: __q::Clone::clone(&self.to),
            }
        }
    }
    impl __q::Debug for SendEmail
    where
        __q::String: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("SendEmail").field("to", &self.to).finish()
        }
    }
    impl __q::PartialEq for SendEmail
    where
        __q::String: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.to, &other.to) && true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "send email",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!());
    impl __q::Task for SendEmail {
        type Output = ();
        const DEF: &'static __q::TaskDef = __DEF;
    }
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        <() as __q::TaskOutput>::outcome(&send_email(&params.to))
    }
};
