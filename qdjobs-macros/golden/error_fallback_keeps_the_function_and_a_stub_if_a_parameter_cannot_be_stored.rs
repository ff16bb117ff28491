// #[task("move")]
::core::compile_error! {
    "a parameter must be a plain name: it is a field of `MoveTo` and a key of the JSON\nhelp: give the parameter a name, and destructure it in the body"
}
#[allow(unused_variables, unused_mut)]
fn move_to(map: &Map, (x, y): (u8, u8), to: &str) -> Result<u8, Error> {
    body(x, y)
}
#[allow(unused_variables, unused_mut)]
///The parameters of the task [`move_to`].
#[must_use = "a job does nothing until it is enqueued"]
struct MoveTo {
    ///The `to` parameter of [`move_to`].
    to: ::qdjobs::__private::String,
}
#[allow(unused_variables, unused_mut)]
#[allow(dead_code, deprecated)]
impl MoveTo {
    #[allow(unused_variables)]
    fn new(
        _: impl ::core::marker::Sized,
        to: impl ::qdjobs::__private::Into<::qdjobs::__private::String>,
    ) -> Self {
        loop {}
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
#[allow(unused_variables, unused_mut)]
#[allow(dead_code, deprecated, unexpected_cfgs)]
const _: () = {
    use ::qdjobs::__private as __q;
    impl __q::Serialize for MoveTo {
        fn serialize<S: __q::Serializer>(&self, _: S) -> __q::Result<S::Ok, S::Error> {
            loop {}
        }
    }
    impl<'de> __q::Deserialize<'de> for MoveTo {
        fn deserialize<D: __q::Deserializer<'de>>(_: D) -> __q::Result<Self, D::Error> {
            loop {}
        }
    }
    impl __q::Clone for MoveTo {
        fn clone(&self) -> Self {
            loop {}
        }
    }
    impl __q::Debug for MoveTo {
        fn fmt(&self, _: &mut __q::Formatter<'_>) -> __q::FmtResult {
            loop {}
        }
    }
    impl __q::PartialEq for MoveTo {
        fn eq(&self, _: &Self) -> bool {
            loop {}
        }
    }
    impl __q::Task for MoveTo {
        type Output = u8;
        const DEF: &'static __q::TaskDef = loop {};
    }
};
