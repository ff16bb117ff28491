// #[task("send_email")]
#[allow(clippy::too_many_arguments)]
fn send_email(
    to: &str,
    file: &Path,
    tags: &[String],
    address: &Address,
    cc: Option<&str>,
    copy: Option<&Path>,
    words: Option<&[String]>,
    home: Option<&Address>,
) -> Result<(), io::Error> {
    body()
}
///The parameters of the task [`send_email`].
#[must_use = "a job does nothing until it is enqueued"]
struct SendEmail {
    ///The `to` parameter of [`send_email`].
    to: ::qdjobs::__private::String,
    ///The `file` parameter of [`send_email`].
    file: <Path as ::qdjobs::__private::ToOwned>::Owned,
    ///The `tags` parameter of [`send_email`].
    tags: ::qdjobs::__private::Vec<String>,
    ///The `address` parameter of [`send_email`].
    address: Address,
    ///The `cc` parameter of [`send_email`].
    cc: Option<::qdjobs::__private::String>,
    ///The `copy` parameter of [`send_email`].
    copy: Option<<Path as ::qdjobs::__private::ToOwned>::Owned>,
    ///The `words` parameter of [`send_email`].
    words: Option<::qdjobs::__private::Vec<String>>,
    ///The `home` parameter of [`send_email`].
    home: Option<Address>,
}
#[allow(dead_code, deprecated)]
impl SendEmail {
    ///Makes a job that calls [`send_email`] with these parameters once it is enqueued.
    fn new(
        to: impl ::qdjobs::__private::Into<::qdjobs::__private::String>,
        file: impl ::qdjobs::__private::Into<
            <Path as ::qdjobs::__private::ToOwned>::Owned,
        >,
        tags: impl ::qdjobs::__private::Into<::qdjobs::__private::Vec<String>>,
        address: Address,
    ) -> Self {
        Self {
            to: ::qdjobs::__private::Into::into(to),
            file: ::qdjobs::__private::Into::into(file),
            tags: ::qdjobs::__private::Into::into(tags),
            address: address,
            cc: ::qdjobs::__private::None,
            copy: ::qdjobs::__private::None,
            words: ::qdjobs::__private::None,
            home: ::qdjobs::__private::None,
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
    const __PARAMS: &[__q::ParamInfo] = &[
        __q::ParamInfo::required("to", "String"),
        __q::ParamInfo::required("file", "PathBuf"),
        __q::ParamInfo::required("tags", "Vec<String>"),
        __q::ParamInfo::required("address", "Address"),
        __q::ParamInfo::optional("cc", "Option<String>"),
        __q::ParamInfo::optional("copy", "Option<PathBuf>"),
        __q::ParamInfo::optional("words", "Option<Vec<String>>"),
        __q::ParamInfo::optional("home", "Option<Address>"),
    ];
    fn __read(object: &mut __q::Object) -> __q::Option<SendEmail> {
        let p0 = <__q::String as __q::TaskParam>::take(object, &__PARAMS[0]);
        let p1 = <<Path as __q::ToOwned>::Owned as __q::TaskParam>::take(
            object,
            &__PARAMS[1],
        );
        let p2 = <<[String] as __q::Slice>::List as __q::TaskParam>::take(
            object,
            &__PARAMS[2],
        );
        let p3 = <Address as __q::TaskParam>::take(object, &__PARAMS[3]);
        let p4 = <Option<
            __q::String,
        > as __q::TaskParam>::take_or(object, &__PARAMS[4], || __q::None);
        let p5 = <Option<
            <Path as __q::ToOwned>::Owned,
        > as __q::TaskParam>::take_or(object, &__PARAMS[5], || __q::None);
        let p6 = <Option<
            __q::Vec<String>,
        > as __q::TaskParam>::take_or(object, &__PARAMS[6], || __q::None);
        let p7 = <Option<
            Address,
        > as __q::TaskParam>::take_or(object, &__PARAMS[7], || __q::None);
        __q::Some(SendEmail {
            to: p0?,
            file: p1?,
            tags: p2?,
            address: p3?,
            cc: p4?,
            copy: p5?,
            words: p6?,
            home: p7?,
        })
    }
    impl __q::Serialize for SendEmail {
        fn serialize<S: __q::Serializer>(
            &self,
            serializer: S,
        ) -> __q::Result<S::Ok, S::Error> {
            let mut object = __q::object(serializer, 8usize)?;
            <__q::String as __q::TaskParam>::put(&self.to, "to", &mut object)?;
            <<Path as __q::ToOwned>::Owned as __q::TaskParam>::put(
                &self.file,
                "file",
                &mut object,
            )?;
            <<[String] as __q::Slice>::List as __q::TaskParam>::put(
                &self.tags,
                "tags",
                &mut object,
            )?;
            <Address as __q::TaskParam>::put(&self.address, "address", &mut object)?;
            <Option<__q::String> as __q::TaskParam>::put(&self.cc, "cc", &mut object)?;
            <Option<
                <Path as __q::ToOwned>::Owned,
            > as __q::TaskParam>::put(&self.copy, "copy", &mut object)?;
            <Option<
                __q::Vec<String>,
            > as __q::TaskParam>::put(&self.words, "words", &mut object)?;
            <Option<Address> as __q::TaskParam>::put(&self.home, "home", &mut object)?;
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
        <Path as __q::ToOwned>::Owned: for<'unused> __q::Clone,
        __q::Vec<String>: for<'unused> __q::Clone,
        Address: for<'unused> __q::Clone,
        Option<__q::String>: for<'unused> __q::Clone,
        Option<<Path as __q::ToOwned>::Owned>: for<'unused> __q::Clone,
        Option<__q::Vec<String>>: for<'unused> __q::Clone,
        Option<Address>: for<'unused> __q::Clone,
    {
        fn clone(&self) -> Self {
            Self {
                to: __q::Clone::clone(&self.to),
                file: __q::Clone::clone(&self.file),
                tags: __q::Clone::clone(&self.tags),
                address: __q::Clone::clone(&self.address),
                cc: __q::Clone::clone(&self.cc),
                copy: __q::Clone::clone(&self.copy),
                words: __q::Clone::clone(&self.words),
                home: __q::Clone::clone(&self.home),
            }
        }
    }
    impl __q::Debug for SendEmail
    where
        __q::String: for<'unused> __q::Debug,
        <Path as __q::ToOwned>::Owned: for<'unused> __q::Debug,
        __q::Vec<String>: for<'unused> __q::Debug,
        Address: for<'unused> __q::Debug,
        Option<__q::String>: for<'unused> __q::Debug,
        Option<<Path as __q::ToOwned>::Owned>: for<'unused> __q::Debug,
        Option<__q::Vec<String>>: for<'unused> __q::Debug,
        Option<Address>: for<'unused> __q::Debug,
    {
        fn fmt(&self, f: &mut __q::Formatter<'_>) -> __q::FmtResult {
            f.debug_struct("SendEmail")
                .field("to", &self.to)
                .field("file", &self.file)
                .field("tags", &self.tags)
                .field("address", &self.address)
                .field("cc", &self.cc)
                .field("copy", &self.copy)
                .field("words", &self.words)
                .field("home", &self.home)
                .finish()
        }
    }
    impl __q::PartialEq for SendEmail
    where
        __q::String: for<'unused> __q::PartialEq,
        <Path as __q::ToOwned>::Owned: for<'unused> __q::PartialEq,
        __q::Vec<String>: for<'unused> __q::PartialEq,
        Address: for<'unused> __q::PartialEq,
        Option<__q::String>: for<'unused> __q::PartialEq,
        Option<<Path as __q::ToOwned>::Owned>: for<'unused> __q::PartialEq,
        Option<__q::Vec<String>>: for<'unused> __q::PartialEq,
        Option<Address>: for<'unused> __q::PartialEq,
    {
        fn eq(&self, other: &Self) -> bool {
            __q::PartialEq::eq(&self.to, &other.to)
                && __q::PartialEq::eq(&self.file, &other.file)
                && __q::PartialEq::eq(&self.tags, &other.tags)
                && __q::PartialEq::eq(&self.address, &other.address)
                && __q::PartialEq::eq(&self.cc, &other.cc)
                && __q::PartialEq::eq(&self.copy, &other.copy)
                && __q::PartialEq::eq(&self.words, &other.words)
                && __q::PartialEq::eq(&self.home, &other.home) && true
        }
    }
    const __DEF: &__q::TaskDef = &__q::TaskDef::new(
            "send_email",
            __PARAMS,
            |object| __q::check(object, __PARAMS, __read),
            __q::Run::Blocking(__run),
        )
        .declared(__q::file!(), __q::line!(), __q::module_path!());
    impl __q::Task for SendEmail {
        type Output = <__R as __q::TaskReturn>::Output;
        const DEF: &'static __q::TaskDef = __DEF;
    }
    type __R = Result<(), io::Error>;
    fn __run(ctx: &__q::JobContext, json: &str) -> __q::Outcome {
        let params = __q::decode(json, __DEF, __read)?;
        match <__R as __q::TaskReturn>::into_result(
            send_email(
                &params.to,
                &params.file,
                &params.tags,
                &params.address,
                __q::Option::as_deref(&params.cc),
                __q::lend::<Path>(&params.copy),
                __q::Option::as_deref(&params.words),
                __q::Option::as_ref(&params.home),
            ),
        ) {
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
    macro_rules! task_named_send_email {
        () => {};
    }
};
