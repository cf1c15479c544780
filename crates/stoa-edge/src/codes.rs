//! The problems of the gateway half.

stoa_exchange::codes! {
    BAD_GATEWAY = "bad-gateway", 502, "The service did not give a usable reply",
        "The request was sent to the service named in `detail`, and the connection failed or what came back was not proper HTTP. `detail` says which.";
    GATEWAY_TIMEOUT = "gateway-timeout", 504, "The service did not answer in time",
        "The service named in `detail` was slower than its `timeout`. `detail` says which bound it was: connect, first byte or total.";
    HEADERS_TOO_LARGE = "headers-too-large", 431, "The request's header is too large",
        "`max_headers` bounds the number of header fields and `max_header_size` their size in bytes.";
    URI_TOO_LONG = "uri-too-long", 414, "The request target is too long",
        "`max_uri` bounds the request target in bytes.";
    NOT_IMPLEMENTED = "not-implemented", 501, "This is not done here",
        "The request uses a method or a transfer coding that a gateway does not serve: `CONNECT`, a transfer coding other than `chunked`.";
    VERSION_NOT_SUPPORTED = "version-not-supported", 505, "The HTTP version is not spoken here",
        "HTTP/1.1 and HTTP/1.0 are served on this port.";
    LOOP_DETECTED = "loop-detected", 508, "The request came back to where it started",
        "`Via` shows that this process has already forwarded the request: a service's address leads back to Stoa.";
    ADDRESS_REFUSED = "address-refused", 403, "Requests from this address are not taken here",
        "`ip` of the server or of the route does not allow the client's address. Behind a proxy that is the proxy's own unless `trusted_proxies` names it.";
    OVERLOADED = "overloaded", 503, "Too much is to be done right now",
        "More requests wait than can be answered in time, so this one was refused at once: come back after `Retry-After`. `priority` of a route says which go last, `server.overload` switches this off.";
    FAULT_INJECTED = "fault-injected", 503, "The request failed on purpose",
        "`fault:` of the profile in use wants a share of the route's requests to fail, to see how callers take it.";
    INVALID_REQUEST = "invalid-request", 400, "The request is not what the service's document describes",
        "A parameter of the path, the query or the head is missing or has a value that the OpenAPI document of the service does not allow; `errors` names each.";
    INVALID_BODY = "invalid-body", 422, "The body is not what the service's document describes",
        "The JSON body does not fit the schema in the OpenAPI document of the service; `errors` names each place and what is wrong with it.";
    FIXED_REPLY = "fixed-reply", 503, "The API file answers this address itself",
        "The route has `reply:` with this status and no body of its own.";
    REQUEST_TIMEOUT = "request-timeout", 408, "The request did not arrive in time",
        "The head of the request took longer than `header_timeout`.";
}
