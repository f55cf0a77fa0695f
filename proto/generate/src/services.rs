//! The services of the administrators' API: a client each, over `grpc`, which carries bytes. The
//! server needs no code for each: it decodes by path.
//!
//! tonic's own generator gives every method its own copy of gRPC's machinery. For 60 methods that
//! nobody calls ten thousand times a second, that is a quarter of the server's build. Here a method
//! is its types and its path.

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
        pub fn new(channel: impl Into<Channel>) -> Self {{
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
