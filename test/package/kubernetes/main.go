// Reads what is said to be Kubernetes' objects as its API does with strict validation: by the API's own types, no field twice,
// none that they do not have. Debian has the library: golang-k8s-api-dev.
//
//	check FILE...: a line "KIND NAME" for each object, or what is wrong with it and status 1
package main

import (
	"bytes"
	"fmt"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// What the Prometheus operator defines, as far as it is meta data: its own fields are not in Kubernetes.
type foreign struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            map[string]interface{} `json:"spec"`
}

func typed(kind meta.TypeMeta) (meta.Object, error) {
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Service":
		return &core.Service{}, nil
	case "apps/v1 StatefulSet":
		return &apps.StatefulSet{}, nil
	case "policy/v1 PodDisruptionBudget":
		return &policy.PodDisruptionBudget{}, nil
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return &foreign{}, nil
	}
	return nil, fmt.Errorf("no such kind: %s %s", kind.APIVersion, kind.Kind)
}

func check(document []byte) (string, error) {
	var kind meta.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return "", err
	}
	if kind.Kind == "" {
		return "", nil
	}
	object, err := typed(kind)
	if err != nil {
		return "", err
	}
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		return "", fmt.Errorf("%s: %w", kind.Kind, err)
	}
	return kind.Kind + " " + object.GetName() + "\n", nil
}

func main() {
	for _, name := range os.Args[1:] {
		text, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, document := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
			line, err := check(document)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
				os.Exit(1)
			}
			fmt.Print(line)
		}
	}
}
