{{/* Names and labels of the parts: (list $ "agent"). */}}
{{- define "xs.name" -}}
{{ printf "%s-%s" (index . 0).Release.Name (index . 1) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "xs.selector" -}}
app.kubernetes.io/name: xstreamer
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "xs.metadata" -}}
name: {{ include "xs.name" . }}
labels:
  {{- include "xs.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
  helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
  app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* Of every pod: nobody is root, and no service is announced by environment variables, whose names
(XSTREAMER_GATEWAY_PORT) would be taken for settings. */}}
{{- define "xs.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "xs.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Of every container of our image. */}}
{{- define "xs.product" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "xs.confined" . }}
{{- end }}

{{- define "xs.mounts" -}}
volumeMounts:
  - {name: cache, mountPath: /cache}
  - {name: run, mountPath: /run/xstreamer}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "xs.volumes" -}}
- name: cache
  {{- if .Values.cache.claim }}
  persistentVolumeClaim: {claimName: {{ .Values.cache.claim | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.cache.size }}}
  {{- end }}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- end }}

{{- define "xs.secret" -}}
{{ required "secret: name a Secret with livekit-api-secret, redis-password, admin-key and database-url" .Values.secret }}
{{- end }}

{{/* A variable from the Secret: (list $ "NAME" "key"). */}}
{{- define "xs.secretEnv" -}}
- name: {{ index . 1 }}
  valueFrom: {secretKeyRef: {name: {{ include "xs.secret" (index . 0) }}, key: {{ index . 2 }}}}
{{- end }}

{{- define "xs.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What a process of the engines' pod is asked: (list "address" failures period). */}}
{{- define "xs.answers" -}}
exec: {command: ["python", "-m", "services.ready", {{ . | quote }}]}
timeoutSeconds: 10
{{- end }}

{{/* The engines of a pod are containers that start before its own and end after it. */}}
{{- define "xs.engineProbes" -}}
startupProbe:
  {{- include "xs.answers" . | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 120
livenessProbe:
  {{- include "xs.answers" . | nindent 2 }}
  periodSeconds: 30
  failureThreshold: 4
{{- end }}
