# A kind of one's own: definition, columns, schema, subresources.
# shellcheck shell=bash

# The kinds of the other versions' stories have other names, so that each can be called by its own. So have their
# categories: whoever asks for one that others share fails when a kind of theirs is deleted before it is listed.
group=$ns.example.com gate=gate${version/./} walls=walls${version/./}
k apply -f - >"$scratch/output" 2>&1 <<YAML || fail "kubectl $version: the definition is applied" "$scratch/output"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ${gate}s.$group}
spec:
  group: $group
  scope: Namespaced
  names: {plural: ${gate}s, singular: $gate, kind: ${gate^}, shortNames: [${gate/ate/t}], categories: [$walls]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.wings, statusReplicasPath: .status.wings}
    additionalPrinterColumns:
    - {name: Wings, type: integer, jsonPath: .spec.wings}
    - {name: State, type: string, jsonPath: .status.state, priority: 1}
    selectableFields: [{jsonPath: .spec.colour}]
    schema:
      openAPIV3Schema:
        type: object
        description: A gate in a wall.
        required: [spec]
        properties:
          spec:
            type: object
            required: [wings]
            x-kubernetes-validations:
            - {rule: "self.wings <= 4 || self.colour == 'red'", message: only red gates are that wide}
            properties:
              wings: {type: integer, minimum: 1, description: How many wings it has.}
              colour: {type: string, default: green, enum: [green, red]}
              locks: {type: array, items: {type: object, properties: {name: {type: string}}}}
          status:
            type: object
            properties: {wings: {type: integer}, state: {type: string}}
YAML
says "customresourcedefinition.apiextensions.k8s.io/${gate}s.$group condition met" \
  wait crd "${gate}s.$group" --for=condition=Established --timeout=30s
gate() { printf '{"apiVersion":"%s/v1","kind":"%s","metadata":{"name":"%s"},"spec":%s}' "$group" "${gate^}" "$1" "$2"; }
says "$gate.$group/north created" apply -f - < <(gate north '{"wings":2}')
says "$gate.$group/north unchanged" apply -f - < <(gate north '{"wings":2}')
says "$gate.$group/north configured" apply -f - < <(gate north '{"wings":3}')
says '{"colour":"green","wings":3}' get "$gate" north -o jsonpath='{.spec}'
says "NAME    WINGS
north   3" get "${gate/ate/t}"
tells "NAME WINGS STATE" -- get "${gate}s" -o wide
denies 'The '"${gate^}"' "south" is invalid:' '* spec.wings: Required value' '* <nil>: Invalid value: "null": some validation rules were not checked because the object was invalid' -- create -f - < <(gate south '{}')
denies 'spec.wings: Invalid value: 0: spec.wings in body should be greater than or equal to 1' -- create -f - < <(gate south '{"wings":0}')
denies 'spec.colour: Unsupported value: "blue": supported values: "green", "red"' -- create -f - < <(gate south '{"wings":1,"colour":"blue"}')
denies 'spec: Invalid value: "object": only red gates are that wide' -- create -f - < <(gate south '{"wings":5}')
denies 'strict decoding error: unknown field "spec.height"' -- create -f - < <(gate south '{"wings":1,"height":2}')
says "$gate.$group/north patched" patch "$gate" north --type=merge -p '{"spec":{"colour":"red"}}'
denies "error: application/strategic-merge-patch+json is not supported" -- patch "$gate" north --type=strategic -p '{}'
says "$gate.$group/north scaled" scale "$gate" north --replicas=2
says "$gate.$group/north patched" patch "$gate" north --subresource=status --type=merge -p '{"status":{"state":"open"}}'
says "$gate.$group/north condition met" wait "$gate/north" --for=jsonpath='{.status.state}'=open --timeout=10s
says "open" get "$gate" north --subresource=status -o jsonpath='{.status.state}'
says "$gate.$group/north" get "${gate}s" --field-selector=spec.colour=red -o name
says "" get "${gate}s" --field-selector=spec.colour=green -o name
says "$gate.$group/west serverside-applied" apply --server-side -f - < <(gate west '{"wings":1}')
tells "KIND: ${gate^}" "A gate in a wall." "spec <Object> -required-" -- explain "$gate"
tells "How many wings it has." -- explain "$gate.spec.wings"
tells "${gate}s ${gate/ate/t} $group/v1 true ${gate^}" -- api-resources --api-group="$group"
tells "$gate.$group/north" -- get "$walls" -o name
tells "Kind: ${gate^}" "Wings: 2" -- describe "$gate" north
says "$gate.$group"' "west" deleted' delete "$gate" west
tells "customresourcedefinition.apiextensions.k8s.io \"${gate}s.$group\" deleted" -- delete crd "${gate}s.$group"
denies "the server could not find the requested resource" -- get "${gate}s"
