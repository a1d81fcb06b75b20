{{- /* The services, and what of the world each of them talks to. */}}
{{- define "pac.services" -}}
gateway: {port: 4000, hears: [deployments]}
packages: {port: 8000, objects: true, hears: [deployments, billing, gateway, runtime-notifier]}
deployments: {port: 8000, hears: [gateway, packages, billing, runtime-notifier]}
billing: {port: 8000, hears: [gateway, deployments]}
runtime-notifier: {port: 8000, objects: true, hears: [gateway, deployments]}
{{- end }}

{{- define "pac.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "pac.selector" -}}
app.kubernetes.io/name: pac
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "pac.labels" -}}
{{ include "pac.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "pac.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "pac.prefix" -}}
{{ . | upper | replace "-" "_" }}
{{- end }}

{{- define "pac.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "pac.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* A variable from a key of the same name: dict "secret" "names". */}}
{{- define "pac.fromSecret" -}}
{{- range .names }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $.secret }}, key: {{ . }}}}
{{- end }}
{{- end }}

{{- define "pac.kafka" -}}
{{- with .Values.externalKafka }}
- {name: KAFKA_SERVERS, value: {{ .servers | quote }}}
- {name: KAFKA_SECURITY_PROTOCOL, value: {{ .securityProtocol }}}
{{- if contains "SASL" .securityProtocol }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .saslMechanism }}}
- {name: KAFKA_SASL_USERNAME, value: {{ required "externalKafka.saslUsername" .saslUsername | quote }}}
{{- include "pac.fromSecret" (dict "secret" (required "externalKafka.existingSecret" .existingSecret) "names" (list "KAFKA_SASL_PASSWORD")) }}
{{- end }}
{{- if .caFile }}
- {name: KAFKA_SSL_CA_FILE, value: /etc/pac/kafka/ca.crt}
{{- end }}
{{- end }}
{{- end }}

{{- define "pac.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.externalKafka.caFile }}
- {name: kafka, mountPath: /etc/pac/kafka, readOnly: true}
{{- end }}
{{- end }}

{{- /* dict "root" "size" */}}
{{- define "pac.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: {{ .size }}}}
{{- if .root.Values.externalKafka.caFile }}
- name: kafka
  secret: {secretName: {{ .root.Values.externalKafka.existingSecret }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "pac.objects" -}}
{{- with .Values.externalS3 }}
- {name: S3_ENDPOINT_URL, value: {{ .endpointUrl | quote }}}
{{- with .publicEndpointUrl }}
- {name: S3_PUBLIC_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
- {name: S3_BUCKET, value: {{ .bucket | quote }}}
- {name: AWS_REGION, value: {{ .region | quote }}}
{{- include "pac.fromSecret" (dict "secret" .existingSecret "names" (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY")) }}
{{- end }}
{{- end }}

{{- /* The environment of a service: dict "root" "service" "about". */}}
{{- define "pac.environment" -}}
{{- $values := .root.Values }}
{{- $own := index $values .service }}
{{- $prefix := include "pac.prefix" .service }}
- {name: {{ $prefix }}_HOST, value: "0.0.0.0"}
- {name: {{ $prefix }}_PORT, value: {{ .about.port | quote }}}
- {name: {{ $prefix }}_ADMIN_PORT, value: "9000"}
- {name: PAC_LOG_LEVEL, value: {{ $values.logLevel }}}
- {name: GATEWAY_PUBLIC_URL, value: {{ $values.publicUrl | quote }}}
{{- with $values.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- include "pac.fromSecret" (dict "secret" $values.externalPostgres.existingSecret "names" (list (printf "%s_DATABASE_URL" $prefix))) }}
{{- include "pac.kafka" .root }}
{{- if .about.objects }}
{{- include "pac.objects" .root }}
{{- end }}
{{- $secrets := list "GATEWAY_IDENTITY_PUBLIC_KEY" (printf "%s_PROOF_KEY" $prefix) }}
{{- if eq .service "gateway" }}
{{- $secrets = list "GATEWAY_ADMIN_KEY" "GATEWAY_KEY_PEPPER" "GATEWAY_IDENTITY_KEY" }}
{{- range $neighbour := list "packages" "deployments" "billing" "runtime-notifier" }}
- {name: GATEWAY_{{ include "pac.prefix" $neighbour }}_URL, value: "http://{{ include "pac.name" $.root }}-{{ $neighbour }}:8000"}
{{- end }}
{{- else if eq .service "packages" }}
{{- $secrets = concat $secrets (list "PACKAGES_SEALING_PUBLIC_KEY" "PACKAGES_FINGERPRINT_KEY") }}
{{- else if eq .service "runtime-notifier" }}
{{- $secrets = concat $secrets (list "RUNTIME_NOTIFIER_SEALING_KEY" "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY" "RUNTIME_NOTIFIER_RUNTIME_SECRET") }}
- {name: RUNTIME_NOTIFIER_RUNTIME_URL, value: {{ $values.runtime.url | quote }}}
- {name: RUNTIME_NOTIFIER_RUNTIME_ACCEPTS_ENVIRONMENT, value: {{ $values.runtime.acceptsEnvironment | quote }}}
{{- end }}
{{- include "pac.fromSecret" (dict "secret" $values.existingSecret "names" (concat $secrets $own.secrets)) }}
{{- range $name, $value := $own.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
