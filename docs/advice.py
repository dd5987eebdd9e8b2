"""What to do about each reason: the words of ``reference/errors.md`` that no code has. A test compares them with it."""

from __future__ import annotations

CONTROL_API = {
    "InvalidInput": "Correct what `errors` names, one entry a field.",
    "NotSignedIn": "Sign in with `taxiway login`, or send an API token that has not expired and was not revoked.",
    "NotAllowed": "Use a token without narrower scopes, or ask an administrator.",
    "SignInFailed": "Sign in again; should it stay so, an administrator compares `people.provider` with the provider.",
    "SignInRefused": "Ask for a group that `people.provider.groups` names; the audit log says which identity it was.",
    "PasswordsOff": "Sign in with the identity provider; programs use API tokens.",
    "ProviderUnavailable": "Try again; see that this host reaches the issuer of `people.provider`.",
    "CrossOrigin": "Send an API token instead of a session's cookie, or an `Origin` header that names this host.",
    "PasswordChangeNeeded": "Choose a new password: `PUT /api/v1/session/password`.",
    "NotFound": "Check the name; also what one is no member of is not found.",
    "MethodNotAllowed": "Use a method that the hint names.",
    "Conflict": "Look at the object again; its present state is in the message.",
    "GenerationMismatch": "Read the object again, and repeat the change with its new generation if it still fits.",
    "BodyTooLarge": "Send at most 1 MiB to the control API.",
    "UnknownHost": "An administrator adds the name to `server.allowed_hosts`.",
    "NoSignature": "Log the model again with `signature=infer_signature(…)`, or with an `input_example`.",
    "MalformedModel": "Log the model again; the message names the file or the field.",
    "UnsupportedRequirements": "Log the model with packages from an index, by name and version.",
    "NoInterpreter": "Install the Python that the message names, for example with `uv python install`.",
    "GatesFailed": "Do what the hint says for each gate; the same command with `--dry-run` shows how they stand.",
    "LimitReached": "Ask for less, or delete what is not needed; administrators set `limits.deployments_per_user`.",
    "EnvironmentFailed": "See the build log: `taxiway model logs MODEL/VERSION --build`.",
    "ArtifactDigestMismatch": "Find out who changed the file that the message names, then convert the run again.",
    "TooManyRequests": "Wait for as long as `Retry-After` says.",
    "Internal": "An administrator finds the cause in `taxiway platform-log control` by the request's id.",
    "NotReady": "Look at the deployment's status; switch it ON, or wait until its pod is ready.",
    "TrackingUnavailable": "Wait a moment: MLflow starts. `taxiway platform-log mlflow` shows why it does not.",
    "DatabaseUnavailable": "Wait a moment. `taxiway platform-log control` says what the database answers.",
    "StoreUnavailable": "Pods go on. See whether `production.store_endpoint` is up; it is tried again by itself.",
    "StoreRefused": "Pods go on. Correct the credentials, their rights, the bucket or the region: the code says which.",
    "GatewayRejected": "The last good routes stay in force. See `taxiway platform-log envoy`.",
    "IsolationUnavailable": "Install what the message names, or change `pods.isolation`.",
    "LeaseLost": "Ask again: another control plane has taken over.",
    "OutOfDisk": "Free room where the data directory is.",
}
"""By reason of an answer of the control API."""

ENDPOINTS = {
    "BadRequest": "Send header names without underscores and paths without encoded slashes.",
    "MalformedRequest": "Send HTTP/1.1.",
    "MalformedBody": "Send what the content type says; the message names line and column, or the form.",
    "NotSignedIn": "Send `Authorization: Bearer …` with an access token that has not expired.",
    "NotAllowed": "Ask for a token of this deployment: this one is for another, or was revoked.",
    "NotFound": "Check the URL: project, model and version are part of it.",
    "MethodNotAllowed": "Use the method that `Allow` names.",
    "RequestTimeout": "Send the request whole; the network or the caller stalled.",
    "BodyTooLarge": "Send fewer rows at once. The limit is `pods.body_limit_mib`.",
    "LimitReached": "Send less: the URL, the headers or the body exceed what the gateway takes.",
    "NotAcceptable": "Name a content type in `Accept` that the message names, or leave it out.",
    "UnsupportedMediaType": "Send JSON or CSV in UTF-8, Arrow or Parquet, plain or as gzip; see the message.",
    "ContractViolation": "Correct the column and row that the message names; see the endpoint's `openapi.json`.",
    "TooManyRequests": "Wait for as long as `Retry-After` says: the pod has all that it can answer in time.",
    "HeadersTooLarge": "Send fewer or shorter headers.",
    "Internal": "See the container log, or `taxiway platform-log envoy` where the gateway answered.",
    "PredictionFailed": "See the container log for the traceback: the model itself raised, or returned no JSON.",
    "OutputMismatch": "Correct the model's output schema, or set `on_output_mismatch` to `pass`.",
    "NotReady": "Wait for as long as `Retry-After` says; `taxiway model show` says why no pod is ready.",
    "Unavailable": "The control plane is being restarted; endpoints are not affected.",
    "PredictionTimedOut": "Send fewer rows, or give the deployment more time: `--predict-timeout`.",
    "DeadlineExceeded": "Send fewer rows, or give the deployment more time: `--predict-timeout`.",
}
"""By reason of an answer of an endpoint, from its pod or from the gateway."""

FAILURES = {
    "ArtifactDigestMismatch": (
        "A file of the snapshot is missing, added or changed; the message names it.",
        "Find out who changed it, then convert the run again.",
    ),
    "BuildDeadlineExceeded": (
        "The model environment was not ready in time.",
        "See the build log; switch it ON to try again, or raise `environments.build_timeout_seconds`.",
    ),
    "CannotStart": (
        "The program could not be started at all.",
        "See the message; `taxiway doctor` looks at the host.",
    ),
    "CopyDeadlineExceeded": (
        "The model's files were not copied in time.",
        "Look at the disk and at MLflow (`taxiway platform-log mlflow`), then switch it ON.",
    ),
    "CopyFailed": (
        "The model's files could not be copied.",
        "Switch it ON to try again; see `taxiway platform-log control`.",
    ),
    "CrashLoop": (
        "The scoring server ended three times before it had been up for long.",
        "See the container log of the dead pod; correct the model and convert again.",
    ),
    "EnvironmentFailed": (
        "The requirements cannot be resolved or installed; the message names the package.",
        "See the build log; log the model with requirements that can be had.",
    ),
    "ExampleFailed": (
        "The model's own input example could not be scored.",
        "See the container log; log the model again with an example that it can predict.",
    ),
    "Exited": (
        "The scoring server ended by itself; the message has its exit code.",
        "See its last lines in the container log.",
    ),
    "Failed": ("It failed, and nothing told why.", "See the build log and the container log."),
    "GatewayRejected": (
        "Envoy refused the routes; the last good ones stay in force.",
        "See `taxiway platform-log envoy`.",
    ),
    "IndexUnreachable": (
        "The package index does not answer or refuses access.",
        "Check network, proxy and `environments.index_url`, then switch it ON.",
    ),
    "Internal": (
        "An error within Taxiway.",
        "See `taxiway platform-log control`, then switch it ON.",
    ),
    "IsolationUnavailable": (
        "The demanded isolation level cannot be had on this host.",
        "Install what the message names, or change `pods.isolation`.",
    ),
    "Killed": (
        "A signal ended the scoring server: a crash in native code, or somebody's kill.",
        "See its last lines in the container log.",
    ),
    "LimitReached": ("The model is larger than what is copied.", "Log a smaller model."),
    "MalformedModel": (
        "`MLmodel` or a file beside it cannot be understood.",
        "Log the model again.",
    ),
    "MethodNotAvailable": (
        "The endpoint is to answer with a method that the model does not have; the message names those that it has.",
        "Configure one of them (`taxiway model configure MODEL/VERSION --method predict`), or log a model that has it.",
    ),
    "MissingPackage": (
        "The model imports a module that its environment does not have; the message names it.",
        "Add the package to the model's requirements, or its code to `code_paths`, and log it again.",
    ),
    "ModelLoadFailed": (
        "Loading the model raised; the message has the exception.",
        "See the container log for the traceback; load the model in a clean environment to try.",
    ),
    "NoInterpreter": (
        "The Python that the model was logged with is not installed.",
        "Install it, for example with `uv python install`, and switch it ON.",
    ),
    "NotFound": ("The files are no longer there.", "Convert a run that still has its model."),
    "OutOfDisk": ("The disk is full.", "Free room where the data directory is, and switch it ON."),
    "OutOfMemory": (
        "The pod used more memory than it may; the message has limit and last use.",
        "Give it more: `taxiway model configure MODEL/VERSION --memory 2Gi`.",
    ),
    "PodFailed": ("A pod ended for good, and nothing told why.", "See its container log."),
    "PredictionStuck": (
        "A prediction went on after its deadline; the scoring server was started anew.",
        "Raise `--predict-timeout`, or find out what the model waits for.",
    ),
    "ProbeFailed": (
        "The scoring server ran but did not answer its health check.",
        "It hangs or is overloaded; see its last lines in the container log.",
    ),
    "Restarted": ("It was told to start anew.", "Nothing."),
    "FilesGone": (
        "Its snapshot or model environment was deleted from disk after it had served, and cannot be made again.",
        "The message says why; mend that, or restore `snapshots/` and `environments/` from a backup, and switch it ON.",
    ),
    "StartDeadlineExceeded": (
        "No pod was ready in time; the message names the last phase.",
        "See the container log, or give it longer: `--start-deadline`.",
    ),
    "StopGraceExceeded": ("It did not stop in time, and was killed.", "Nothing; see its log if it repeats."),
    "StubGone": (
        "The process that keeps the pod was killed, and the pod with it; both are started again.",
        "Nothing; find out who killed it if it repeats.",
    ),
    "StubNotStarted": (
        "The process that keeps the pod did not come up; it is tried again.",
        "See `taxiway platform-log control` and `taxiway doctor`.",
    ),
    "SystemError": (
        "The operating system refused something; the message has its words.",
        "See `taxiway platform-log control` and `taxiway doctor`.",
    ),
    "TooManyProcesses": (
        "The pod started more processes than the 512 that it may have.",
        "Make the model use fewer processes and threads.",
    ),
    "TrackingUnavailable": (
        "MLflow did not answer while the files were copied.",
        "See `taxiway platform-log mlflow`, then switch it ON.",
    ),
    "UnknownJob": (
        "A pod was asked for a job that its version of the scoring server does not know.",
        "Start Taxiway anew, so that pods run the same version.",
    ),
    "UnsupportedRequirements": (
        "The model asks for packages in a way that is not built.",
        "Log the model with packages from an index, by name and version.",
    ),
}
"""By reason of a build's or a pod's failure: what it means, what to do."""

STATUS_REASONS = {
    "Deleting": "The deployment is being deleted.",
    "NoRequests": "No request came for a while, and its last pod was stopped; the next request waits for a new one.",
    "PodsNotReady": "A pod is being restarted.",
    "Preparing": "The files are copied, the model environment is built.",
    "Queued": "It waits for its turn.",
    "Ready": "Its pods are ready, and the route is being made live.",
    "RollingOut": "Requests move to the new revision step by step; `taxiway production rollout` tells how far.",
    "RouteNotAccepted": "The gateway has not taken the route for a minute; see `taxiway platform-log envoy`.",
    "Serving": "The endpoint answers.",
    "Starting": "The pod comes up: the model is loaded, its example scored.",
    "SwitchedOff": "Somebody switched it OFF.",
    "Waking": "Its first pod is starting because a request waits for it.",
}
"""By reason of a status that is no failure."""

COMMAND = {
    "NotStarted": (
        "Control plane, MLflow or Envoy did not come up in time.",
        "The hint has its last lines; `taxiway platform-log` shows more.",
    ),
    "PortInUse": (
        "Somebody else listens on the port, or on the one for metrics.",
        "Stop what listens there, or choose another with `--port`.",
    ),
    "UnusableKey": (
        "A signing key in the data directory cannot be read.",
        "Restore `keys/` from a backup; new keys would make all access tokens void.",
    ),
}
"""By reason of an error of ``taxiway up`` that the control API never gives: what it means, what to do."""
