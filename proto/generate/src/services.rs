//! The services of the administrators' API: a client, a trait and a server each, all over `grpc`,
//! which carries bytes.
//!
//! tonic's own generator gives every method a copy of its own of gRPC's machinery. For 60 methods
//! that nobody calls ten thousand times a second, that is a quarter of the server's build. Here a
//! method is its types and its path.

use prost_build::{Comments, Method, Service, ServiceGenerator};

pub(crate) struct Services;

impl ServiceGenerator for Services {
    fn generate(&mut self, service: Service, text: &mut String) {
        if service.package == "portcullis.admin.v1" {
            for method in &service.methods {
                let streams = (method.client_streaming, method.server_streaming);
                assert_ne!(
                    streams,
                    (true, true),
                    "{}: `grpc` carries no method that streams both ways",
                    method.proto_name
                );
            }
            text.push_str(&client(&service));
            text.push_str(&server(&service));
        }
    }
}

fn client(service: &Service) -> String {
    let (name, module, docs) = (&service.name, module(service), docs(&service.comments));
    let methods: String = service
        .methods
        .iter()
        .map(|m| client_method(service, m))
        .collect();
    format!(
        r#"
/// Calls the service `{name}`.
pub mod {module}_client {{
    use crate::grpc::{{Channel, Client}};
    use tonic::{{Response, Status}};

    {docs}
    #[derive(Clone, Debug)]
    pub struct {name}Client(Client);

    impl {name}Client {{
        pub fn new(channel: Channel) -> Self {{
            Self(Client::new(channel))
        }}

        {methods}
    }}
}}
"#
    )
}

fn client_method(service: &Service, method: &Method) -> String {
    let (docs, name, path) = (docs(&method.comments), &method.name, path(service, method));
    let (input, output) = (message(&method.input_type), message(&method.output_type));
    let (call, argument, answer) = match (method.client_streaming, method.server_streaming) {
        (false, false) => ("unary", format!("IntoRequest<{input}>"), output),
        (false, true) => {
            let answer = format!("crate::grpc::Messages<{output}>");
            ("server_streaming", format!("IntoRequest<{input}>"), answer)
        }
        (true, _) => {
            let argument = format!("IntoStreamingRequest<Message = {input}>");
            ("client_streaming", argument, output)
        }
    };
    let into = if method.client_streaming {
        "into_streaming_request"
    } else {
        "into_request"
    };
    format!(
        r#"
        {docs}
        pub async fn {name}(
            &mut self,
            request: impl tonic::{argument},
        ) -> Result<Response<{answer}>, Status> {{
            self.0.{call}("{path}", request.{into}()).await
        }}
"#
    )
}

fn server(service: &Service) -> String {
    let (name, module, docs) = (&service.name, module(service), docs(&service.comments));
    let (package, in_path) = (&service.package, &service.proto_name);
    let methods: String = service.methods.iter().map(trait_method).collect();
    let server = server_type(name);
    let arms: String = service
        .methods
        .iter()
        .map(|m| server_arm(service, m))
        .collect();
    format!(
        r#"
/// Serves the service `{name}`.
pub mod {module}_server {{
    use std::{{convert::Infallible, sync::Arc, task::{{Context, Poll}}}};

    use crate::grpc::{{self, Body, Handled, http}};
    use tonic::{{codegen::{{BoxFuture, Service}}, Request, Response, Status}};

    {docs}
    #[tonic::async_trait]
    pub trait {name}: Send + Sync + 'static {{
        {methods}
    }}

    /// What stands before each method's name in its path.
    pub const SERVICE_NAME: &str = "{package}.{in_path}";

    {server}

    impl<T: {name}> Service<http::Request<Body>> for {name}Server<T> {{
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Handled;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {{
            Poll::Ready(Ok(()))
        }}

        fn call(&mut self, request: http::Request<Body>) -> Handled {{
            let (inner, limit) = (Arc::clone(&self.inner), self.limit);
            match request.uri().path() {{
                {arms}
                _ => grpc::unimplemented(),
            }}
        }}
    }}

    impl<T> tonic::server::NamedService for {name}Server<T> {{
        const NAME: &'static str = SERVICE_NAME;
    }}
}}
"#
    )
}

/// What holds the implementation of service `name`, and shares it among connections.
fn server_type(name: &str) -> String {
    format!(
        r#"
    #[derive(Debug)]
    pub struct {name}Server<T> {{
        inner: Arc<T>,
        limit: usize,
    }}

    impl<T> Clone for {name}Server<T> {{
        fn clone(&self) -> Self {{
            Self {{ inner: Arc::clone(&self.inner), limit: self.limit }}
        }}
    }}

    impl<T> {name}Server<T> {{
        pub fn new(inner: T) -> Self {{
            Self {{ inner: Arc::new(inner), limit: grpc::MAX_MESSAGE }}
        }}

        /// No longer message is taken, in bytes.
        #[must_use]
        pub fn max_decoding_message_size(self, limit: usize) -> Self {{
            Self {{ limit, ..self }}
        }}
    }}
"#
    )
}

fn trait_method(method: &Method) -> String {
    let (docs, name, input) = (docs(&method.comments), &method.name, taken(method));
    let output = message(&method.output_type);
    let output = if method.server_streaming {
        format!("grpc::Replies<{output}>")
    } else {
        output
    };
    format!(
        r#"
        {docs}
        async fn {name}(&self, request: Request<{input}>) -> Result<Response<{output}>, Status>;
"#
    )
}

fn server_arm(service: &Service, method: &Method) -> String {
    let (name, path, input) = (&method.name, path(service, method), taken(method));
    let call = match (method.client_streaming, method.server_streaming) {
        (false, false) => "unary",
        (false, true) => "server_streaming",
        (true, _) => "client_streaming",
    };
    format!(
        r#"
                "{path}" => grpc::{call}(request, limit, move |request: Request<{input}>| -> BoxFuture<_, _> {{
                    Box::pin(async move {{ T::{name}(&inner, request).await }})
                }}),
"#
    )
}

/// What a served method takes.
fn taken(method: &Method) -> String {
    let input = message(&method.input_type);
    if method.client_streaming {
        format!("grpc::Messages<{input}>")
    } else {
        input
    }
}

fn path(service: &Service, method: &Method) -> String {
    let (package, service) = (&service.package, &service.proto_name);
    format!("/{package}.{service}/{}", method.proto_name)
}

/// Messages are named from one module above the services.
fn message(name: &str) -> String {
    format!("super::{name}")
}

fn module(service: &Service) -> String {
    service.name.to_lowercase()
}

fn docs(comments: &Comments) -> String {
    let lines = comments.leading.iter().flat_map(|comment| comment.lines());
    lines
        .map(|line| format!("/// {}\n", line.trim_start()))
        .collect()
}
