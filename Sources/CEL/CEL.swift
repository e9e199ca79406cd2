// CEL: the Common Expression Language as Kubernetes uses it: parser, type checker, cost, libraries.
// Values in, values out: nothing here knows an object kind, a store or a clock.
