"""The public modules and names of SDK v1, by which a missing name is told from a misspelt one.

Facts taken from the public interface of the v1 packages (1.61/1.62): module, then the names it offers. Names that
this tree has itself are listed too; what is really there wins. Of packages that are listed in part only (private ones,
previews, the runtimes of automated ML) any name counts as v1's.
"""

from __future__ import annotations

from typing import Dict

_NAMES = {
    "azureml._restclient": "",
    "azureml._restclient.experiment_client": "ExperimentClient",
    "azureml._restclient.models": "",
    "azureml._restclient.models.create_run_dto": "CreateRunDto",
    "azureml._restclient.models.run_type_v2": "RunTypeV2",
    "azureml.automl": "",
    "azureml.automl.core": "",
    "azureml.automl.core.featurization": "FeaturizationConfig",
    "azureml.automl.core.featurization.featurizationconfig": "FeaturizationConfig",
    "azureml.automl.core.forecasting_parameters": "ForecastingParameters",
    "azureml.automl.core.onnx_convert": "",
    "azureml.automl.core.onnx_convert.onnx_convert_constants": "OnnxConvertConstants",
    "azureml.automl.core.shared": "",
    "azureml.automl.core.shared.constants": "ImageTask Metric RunState TimeSeries TimeSeriesInternal",
    "azureml.automl.core.shared.logging_utilities": "log_traceback",
    "azureml.automl.core.shared.types": "GrainType",
    "azureml.automl.runtime": "",
    "azureml.automl.runtime.shared": "",
    "azureml.automl.runtime.shared.score": "",
    "azureml.contrib": "",
    "azureml.contrib.automl": "",
    "azureml.contrib.automl.pipeline": "",
    "azureml.contrib.automl.pipeline.steps": (
        "AutoMLPipelineBuilder ConflictingTimeoutException get_output_from_mm_pipeline "
        "set_environment_variables_for_run"
    ),
    "azureml.contrib.automl.pipeline.steps.automl_pipeline_builder": "AutoMLPipelineBuilder",
    "azureml.contrib.automl.pipeline.steps.exceptions": "ConflictingTimeoutException",
    "azureml.contrib.automl.pipeline.steps.utilities": "get_output_from_mm_pipeline set_environment_variables_for_run",
    "azureml.contrib.core": "",
    "azureml.contrib.core.compute": "",
    "azureml.contrib.core.compute.iothub": "IotHubAttachConfiguration IotHubCompute",
    "azureml.contrib.core.webservice": "",
    "azureml.contrib.core.webservice.iot": (
        "IotBaseModuleSettings IotModuleSettings IotServiceDeploymentConfiguration IotWebservice"
    ),
    "azureml.contrib.dataset": "FileHandlingOption LabeledDatasetFactory LabeledDatasetTask",
    "azureml.contrib.explain": "",
    "azureml.contrib.explain.model": "",
    "azureml.contrib.fairness": "download_dashboard_by_upload_id upload_dashboard_dictionary",
    "azureml.contrib.interpret": "",
    "azureml.contrib.interpret.explanation": "",
    "azureml.contrib.interpret.explanation.explanation_client": "",
    "azureml.contrib.iot": "IotContainerImage IotImageConfig SnpeConverter",
    "azureml.contrib.iot.iot_image": "IotContainerImage IotImageConfig",
    "azureml.contrib.iot.model_converters": "",
    "azureml.contrib.iot.model_converters.snpe_converter": "SnpeConverter",
    "azureml.contrib.notebook": "NotebookRunConfig",
    "azureml.contrib.pipeline": "",
    "azureml.contrib.pipeline.steps": "ParallelRunConfig ParallelRunStep",
    "azureml.contrib.pipeline.steps.parallel_run_config": "ParallelRunConfig",
    "azureml.contrib.pipeline.steps.parallel_run_step": "ParallelRunStep",
    "azureml.contrib.services": "",
    "azureml.contrib.services.aml_request": "AMLRequest rawhttp",
    "azureml.contrib.services.aml_response": "AMLResponse",
    "azureml.contrib.train": "",
    "azureml.contrib.train.rl": "Ray ReinforcementLearningEstimator SimulatorConfiguration WorkerConfiguration",
    "azureml.core": (
        "ComputeTarget Container Dataset Datastore Dsvm Environment Experiment Image Keyvault "
        "LinkedService Model Run RunConfiguration Runnable ScriptRun ScriptRunConfig "
        "SynapseWorkspaceLinkedServiceConfiguration Webservice Workspace"
    ),
    "azureml.core.authentication": (
        "AbstractAuthentication ArmTokenAuthentication Audience AzureCliAuthentication "
        "AzureMLTokenAuthentication InteractiveLoginAuthentication MsiAuthentication "
        "ServicePrincipalAuthentication TokenAuthentication"
    ),
    "azureml.core.compute": (
        "AdlaCompute AksAttachConfiguration AksCompute AksProvisioningConfiguration "
        "AksUpdateConfiguration AmlCompute AmlComputeNodeStateCounts "
        "AmlComputeProvisioningConfiguration AmlComputeStatus BatchAttachConfiguration BatchCompute "
        "ComputeInstance ComputeInstanceProvisioningConfiguration ComputeInstanceStatus ComputeTarget "
        "ComputeTargetAttachConfiguration ComputeTargetProvisioningConfiguration "
        "ComputeTargetUpdateConfiguration DataFactoryAttachConfiguration DataFactoryCompute "
        "DataFactoryProvisioningConfiguration DataLakeAnalyticsAttachConfiguration "
        "DatabricksAttachConfiguration DatabricksCompute DsvmCompute DsvmProvisioningConfiguration "
        "HDInsightAttachConfiguration HDInsightCompute KubernetesCompute "
        "KubernetesComputeAttachConfiguration KubernetesComputeStatus KustoAttachConfiguration "
        "KustoCompute RemoteCompute RemoteComputeAttachConfiguration ScaleSettings SslConfiguration "
        "SynapseAttachConfiguration SynapseCompute SystemService"
    ),
    "azureml.core.compute.adla": "AdlaCompute DataLakeAnalyticsAttachConfiguration",
    "azureml.core.compute.aks": (
        "AksAttachConfiguration AksCompute AksProvisioningConfiguration AksUpdateConfiguration "
        "SslConfiguration SystemService"
    ),
    "azureml.core.compute.amlcompute": (
        "AmlCompute AmlComputeNodeStateCounts AmlComputeProvisioningConfiguration AmlComputeStatus "
        "ScaleSettings"
    ),
    "azureml.core.compute.batch": "BatchAttachConfiguration BatchCompute",
    "azureml.core.compute.compute": (
        "ComputeTarget ComputeTargetAttachConfiguration ComputeTargetProvisioningConfiguration "
        "ComputeTargetUpdateConfiguration"
    ),
    "azureml.core.compute.computeinstance": (
        "ComputeInstance ComputeInstanceProvisioningConfiguration ComputeInstanceStatus"
    ),
    "azureml.core.compute.databricks": "DatabricksAttachConfiguration DatabricksCompute",
    "azureml.core.compute.datafactory": (
        "DataFactoryAttachConfiguration DataFactoryCompute DataFactoryProvisioningConfiguration"
    ),
    "azureml.core.compute.dsvm": "DsvmCompute DsvmProvisioningConfiguration",
    "azureml.core.compute.hdinsight": "HDInsightAttachConfiguration HDInsightCompute",
    "azureml.core.compute.kubernetescompute": (
        "KubernetesCompute KubernetesComputeAttachConfiguration KubernetesComputeStatus"
    ),
    "azureml.core.compute.kusto": "KustoAttachConfiguration KustoCompute",
    "azureml.core.compute.remote": "RemoteCompute RemoteComputeAttachConfiguration",
    "azureml.core.compute.synapse": "SynapseAttachConfiguration SynapseCompute",
    "azureml.core.compute_target": (
        "AbstractComputeTarget ComputeTargetException LocalTarget attach_legacy_compute_target "
        "is_compute_target_prepared prepare_compute_target remove_legacy_compute_target"
    ),
    "azureml.core.conda_dependencies": "CondaDependencies",
    "azureml.core.container_registry": "ContainerRegistry RegistryIdentity",
    "azureml.core.databricks": (
        "DatabricksCluster DatabricksEnvironment DatabricksSection EggLibrary JarLibrary MavenLibrary "
        "PyPiLibrary RCranLibrary"
    ),
    "azureml.core.dataset": "Dataset",
    "azureml.core.datastore": "Datastore",
    "azureml.core.environment": (
        "DockerBuildContext DockerEnvironment DockerImageDetails DockerImagePlatform DockerSection "
        "Environment EnvironmentReference ImageBuildDetails PythonEnvironment PythonSection "
        "RCranPackage RGitHubPackage RSection SparkEnvironment SparkPackage SparkSection"
    ),
    "azureml.core.experiment": "Experiment ViewType",
    "azureml.core.history": "",
    "azureml.core.image": "Asset ContainerImage ContainerImageConfig Image ImageConfig TargetRuntime UnknownImage",
    "azureml.core.image.container": "ContainerImage ContainerImageConfig",
    "azureml.core.image.image": "Asset Image ImageConfig TargetRuntime",
    "azureml.core.image.unknown_image": "UnknownImage",
    "azureml.core.keyvault": "Keyvault",
    "azureml.core.linked_service": (
        "LinkedService LinkedServiceConfiguration SynapseWorkspaceLinkedServiceConfiguration"
    ),
    "azureml.core.model": "Dataset InferenceConfig Model ModelPackage",
    "azureml.core.private_endpoint": "PrivateEndPoint PrivateEndPointConfig",
    "azureml.core.profile": "ModelProfile",
    "azureml.core.resource_configuration": "ResourceConfiguration",
    "azureml.core.run": "InputDatasets LinkOutput OutputDatasets Run get_run",
    "azureml.core.runconfig": (
        "AmlComputeConfiguration ApplicationEndpointConfiguration AzureContainerRegistry "
        "CondaDependencies ContainerRegistry DEFAULT_CPU_IMAGE Data DataLocation DataPath "
        "DataReferenceConfiguration DatacacheConfiguration Dataset DatasetRegistrationOptions "
        "DockerConfiguration EnvironmentDefinition GlobsOptions HdiConfiguration HistoryConfiguration "
        "JarLibrary KubernetesComputeConfiguration MountOptions MpiConfiguration OutputData OutputOptions "
        "ParallelTaskConfiguration PyTorchConfiguration RegistrationOptions RunConfiguration "
        "SparkConfiguration TensorflowConfiguration UploadOptions Uri"
    ),
    "azureml.core.script_run": "ScriptRun",
    "azureml.core.script_run_config": "ScriptRunConfig",
    "azureml.core.util": "NewLoggingLevel",
    "azureml.core.webservice": (
        "AciServiceDeploymentConfiguration AciWebservice AksEndpoint "
        "AksEndpointDeploymentConfiguration AksServiceAccessToken AksServiceDeploymentConfiguration "
        "AksWebservice AutoScaler ContainerResourceRequirements DataCollection EncryptionProperties "
        "LivenessProbeRequirements LocalWebservice LocalWebserviceDeploymentConfiguration "
        "UnknownWebservice VnetConfiguration WebServiceAccessToken Webservice "
        "WebserviceDeploymentConfiguration"
    ),
    "azureml.core.webservice.aci": (
        "AciServiceDeploymentConfiguration AciWebservice ContainerResourceRequirements "
        "EncryptionProperties VnetConfiguration"
    ),
    "azureml.core.webservice.aks": (
        "AksEndpoint AksEndpointDeploymentConfiguration AksServiceAccessToken "
        "AksServiceDeploymentConfiguration AksWebservice AutoScaler ContainerResourceRequirements "
        "DataCollection LivenessProbeRequirements"
    ),
    "azureml.core.webservice.container_resource_requirements": "ContainerResourceRequirements",
    "azureml.core.webservice.local": "LocalWebservice LocalWebserviceDeploymentConfiguration",
    "azureml.core.webservice.unknown_webservice": "UnknownWebservice",
    "azureml.core.webservice.webservice": (
        "AutoScaler ContainerResourceRequirements DataCollection LivenessProbeRequirements "
        "WebServiceAccessToken Webservice WebserviceDeploymentConfiguration"
    ),
    "azureml.core.workspace": "Workspace",
    "azureml.data": (
        "AbstractADLSDatastore AbstractAzureStorageDatastore AbstractDataset AbstractDatastore "
        "AzureBlobDatastore AzureDataLakeDatastore AzureDataLakeGen2Datastore AzureFileDatastore "
        "AzureMySqlDatastore AzurePostgreSqlDatastore AzureSqlDatabaseDatastore DBFSDatastore "
        "DataPath DataPathComputeBinding DataReference DataType DatacacheConsumptionConfig "
        "DatacacheHydrationTracker DatacacheSingularitySettings DatacacheStore DatasetActionRun "
        "DatasetConsumptionConfig DatasetContextManager DatasetExecutionError DatasetProfile "
        "DatasetProfileRun DatasetProfileRunConfig DatasetSnapshot DatasetValidationError "
        "DatastoreContextManager FileDataset FileDatasetFactory FileEncoding FileType HDFSDatastore "
        "HDFSOutputDatasetConfig HistogramCompareMethod LinkFileOutputDatasetConfig "
        "LinkTabularOutputDatasetConfig MountOptions OutputDatasetConfig OutputFileDatasetConfig "
        "OutputTabularDatasetConfig PromoteHeadersBehavior RegistrationConfiguration "
        "SingularityPriority SingularitySlaTier SkipLinesBehavior SqlDataReference "
        "StoredProcedureParameter StoredProcedureParameterType TabularDataset TabularDatasetFactory "
        "TransformationMixin UploadOptions"
    ),
    "azureml.data.abstract_dataset": "AbstractDataset",
    "azureml.data.abstract_datastore": "AbstractDatastore",
    "azureml.data.azure_data_lake_datastore": "AbstractADLSDatastore AzureDataLakeDatastore AzureDataLakeGen2Datastore",
    "azureml.data.azure_my_sql_datastore": "AzureMySqlDatastore",
    "azureml.data.azure_postgre_sql_datastore": "AzurePostgreSqlDatastore",
    "azureml.data.azure_sql_database_datastore": "AzureSqlDatabaseDatastore",
    "azureml.data.azure_storage_datastore": "AbstractAzureStorageDatastore AzureBlobDatastore AzureFileDatastore",
    "azureml.data.context_managers": "DatasetContextManager DatastoreContextManager",
    "azureml.data.data_reference": "DataReference",
    "azureml.data.datacache": "DatacacheHydrationTracker DatacacheStore",
    "azureml.data.datacache_consumption_config": "DatacacheConsumptionConfig",
    "azureml.data.datacache_singularity_settings": (
        "DatacacheSingularitySettings SingularityPriority SingularitySlaTier"
    ),
    "azureml.data.datapath": "DataPath DataPathComputeBinding",
    "azureml.data.dataset_action_run": "DatasetActionRun",
    "azureml.data.dataset_consumption_config": "DatasetConsumptionConfig",
    "azureml.data.dataset_error_handling": "DatasetExecutionError DatasetValidationError",
    "azureml.data.dataset_factory": "DataType FileDatasetFactory TabularDatasetFactory",
    "azureml.data.dataset_profile": "DatasetProfile",
    "azureml.data.dataset_profile_run": "DatasetProfileRun",
    "azureml.data.dataset_profile_run_config": "DatasetProfileRunConfig",
    "azureml.data.dataset_snapshot": "DatasetSnapshot",
    "azureml.data.dataset_type_definitions": (
        "FileEncoding FileType HistogramCompareMethod PromoteHeadersBehavior SkipLinesBehavior"
    ),
    "azureml.data.dbfs_datastore": "DBFSDatastore",
    "azureml.data.file_dataset": "FileDataset",
    "azureml.data.hdfs_datastore": "HDFSDatastore",
    "azureml.data.output_dataset_config": (
        "HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig "
        "MountOptions OutputDatasetConfig OutputFileDatasetConfig OutputTabularDatasetConfig "
        "RegistrationConfiguration TransformationMixin UploadOptions"
    ),
    "azureml.data.sql_data_reference": "SqlDataReference",
    "azureml.data.stored_procedure_parameter": "StoredProcedureParameter StoredProcedureParameterType",
    "azureml.data.tabular_dataset": "TabularDataset",
    "azureml.datadrift": "AlertConfiguration DataDriftDetector",
    "azureml.datadrift.alert_configuration": "AlertConfiguration",
    "azureml.datadrift.datadriftdetector": "DataDriftDetector",
    "azureml.dataprep": "",
    "azureml.dataprep.api": "",
    "azureml.dataprep.api.builders": "FileFormatArguments ImputeColumnArguments InferenceArguments",
    "azureml.dataprep.api.dataflow": (
        "Dataflow DecimalMark JoinType MismatchAsOption PromoteHeadersMode SType SkipMode "
        "SummaryFunction TrimType"
    ),
    "azureml.dataprep.api.dataprofile": "ColumnProfile DataProfile",
    "azureml.dataprep.api.datasources": (
        "BlobDataSource BlobFileOutput HttpDataSource LocalDataSource LocalFileOutput MSSQLDataSource "
        "PostgreSQLDataSource"
    ),
    "azureml.dataprep.api.engineapi": "",
    "azureml.dataprep.api.engineapi.typedefinitions": (
        "AssertPolicy ColumnRelationship DatabaseAuthType DatabaseSslMode DecimalMark FieldType "
        "FileEncoding HistogramCompareMethod JoinType MismatchAsOption PromoteHeadersMode "
        "ReplaceValueFunction SType Secret SkipMode StringMissingReplacementOption SummaryFunction "
        "TrimType"
    ),
    "azureml.dataprep.api.errorhandlers": "DataPrepException ExecutionError UnexpectedError ValidationError",
    "azureml.dataprep.api.expressions": "Expression col cond f_and f_not f_or",
    "azureml.dataprep.api.functions": (
        "RegEx create_datetime create_http_stream_info get_stream_info get_stream_properties round "
        "trim_string"
    ),
    "azureml.dataprep.api.parseproperties": (
        "ParseDelimitedProperties ParseFixedWidthProperties ParseLinesProperties "
        "ParseParquetProperties ReadExcelProperties ReadJsonProperties"
    ),
    "azureml.dataprep.api.readers": (
        "auto_read_file detect_file_format read_csv read_excel read_fwf read_json read_lines "
        "read_pandas_dataframe read_parquet_dataset read_parquet_file read_postgresql read_preppy "
        "read_sql"
    ),
    "azureml.dataprep.api.references": "ExternalReference",
    "azureml.dataprep.api.secretmanager": "Secret create_secret register_secret register_secrets",
    "azureml.dataprep.api.step": "ColumnSelector Step",
    "azureml.dataprep.api.typeconversions": (
        "CandidateConverter CandidateDateTimeConverter DateTimeConverter FloatConverter InferenceInfo "
        "StreamInfoConverter TypeConverter"
    ),
    "azureml.exceptions": "ComputeTargetException DatasetTimestampMissingError",
    "azureml.explain": "",
    "azureml.explain.model": "",
    "azureml.history": "",
    "azureml.interpret": (
        "BackCompat History IO KerasSerializer LoggingNamespace MimicWrapper ModelSummary "
        "RunPropertiesAndTags Scoring"
    ),
    "azureml.interpret._internal": "",
    "azureml.interpret._internal.explanation_client": "",
    "azureml.interpret.common": "",
    "azureml.interpret.common.constants": "BackCompat History IO LoggingNamespace RunPropertiesAndTags Scoring",
    "azureml.interpret.common.model_summary": "ModelSummary",
    "azureml.interpret.mimic_wrapper": "MimicWrapper",
    "azureml.interpret.model": "",
    "azureml.interpret.model.serialize": "KerasSerializer",
    "azureml.interpret.scoring": "",
    "azureml.interpret.scoring.scoring_explainer": "",
    "azureml.mlflow": "get_portal_url register_model",
    "azureml.mlflow.deploy": "run_local target_help",
    "azureml.mlflow.deploy.deployment_client": "AzureMLDeploymentClient",
    "azureml.monitoring": "ModelDataCollector",
    "azureml.opendatasets": (
        "Diabetes MNIST NoaaIsdWeather NycTlcGreen NycTlcYellow OjSalesSimulated PublicHolidays "
        "SampleDatasets"
    ),
    "azureml.pipeline": "",
    "azureml.pipeline.core": (
        "DataSource DataSourceDef DataSourceNode DataType DatasetRegistration Edge Graph InputPort "
        "InputPortBinding InputPortDef Module ModuleDef ModuleNode ModuleStepBase ModuleVersion "
        "ModuleVersionDescriptor Node OutputPort OutputPortBinding OutputPortDef Param ParamDef "
        "Pipeline PipelineData PipelineDataset PipelineDraft PipelineEndpoint PipelineIdVersion "
        "PipelineOutputAbstractDataset PipelineOutputFileDataset PipelineOutputTabularDataset "
        "PipelineParameter PipelineRun PipelineStep PipelineVersion PortDataReference "
        "PublishedPipeline Schedule ScheduleRecurrence StepRun StepRunOutput StepSequence "
        "StoredProcedureParameter StoredProcedureParameterType TimeZone TrainingOutput"
    ),
    "azureml.pipeline.core.builder": "PipelineData PipelineStep StepSequence",
    "azureml.pipeline.core.graph": (
        "DataSource DataSourceDef DataSourceNode DataType Edge Graph InputPort InputPortBinding "
        "InputPortDef Module ModuleDef ModuleNode Node OutputPort OutputPortBinding OutputPortDef "
        "Param ParamDef PipelineDataset PipelineParameter PortDataReference PublishedPipeline "
        "StoredProcedureParameter StoredProcedureParameterType TrainingOutput"
    ),
    "azureml.pipeline.core.module": "Module ModuleVersion ModuleVersionDescriptor",
    "azureml.pipeline.core.module_step_base": "ModuleStepBase",
    "azureml.pipeline.core.pipeline": "Pipeline",
    "azureml.pipeline.core.pipeline_draft": "PipelineDraft",
    "azureml.pipeline.core.pipeline_endpoint": "PipelineEndpoint PipelineIdVersion PipelineVersion",
    "azureml.pipeline.core.pipeline_output_dataset": (
        "DatasetRegistration PipelineOutputAbstractDataset PipelineOutputFileDataset "
        "PipelineOutputTabularDataset"
    ),
    "azureml.pipeline.core.run": "PipelineRun StepRun StepRunOutput",
    "azureml.pipeline.core.schedule": "Schedule ScheduleRecurrence TimeZone",
    "azureml.pipeline.steps": (
        "AdlaStep AutoMLStep AutoMLStepRun AzureBatchStep CommandStep DataTransferStep DatabricksStep "
        "EstimatorStep HyperDriveStep HyperDriveStepRun KustoStep ModuleStep MpiStep "
        "ParallelRunConfig ParallelRunStep PythonScriptStep RScriptStep SynapseSparkStep"
    ),
    "azureml.pipeline.steps.adla_step": "AdlaStep",
    "azureml.pipeline.steps.automl_step": "AutoMLStep AutoMLStepRun",
    "azureml.pipeline.steps.azurebatch_step": "AzureBatchStep",
    "azureml.pipeline.steps.command_step": "CommandStep",
    "azureml.pipeline.steps.data_transfer_step": "DataTransferStep",
    "azureml.pipeline.steps.databricks_step": "DatabricksStep",
    "azureml.pipeline.steps.estimator_step": "EstimatorStep",
    "azureml.pipeline.steps.hyper_drive_step": "HyperDriveStep HyperDriveStepRun",
    "azureml.pipeline.steps.kusto_step": "KustoStep",
    "azureml.pipeline.steps.module_step": "ModuleStep",
    "azureml.pipeline.steps.mpi_step": "MpiStep",
    "azureml.pipeline.steps.parallel_run_config": "ParallelRunConfig",
    "azureml.pipeline.steps.parallel_run_step": "ParallelRunStep",
    "azureml.pipeline.steps.python_script_step": "PythonScriptStep",
    "azureml.pipeline.steps.r_script_step": "RScriptStep",
    "azureml.pipeline.steps.synapse_spark_step": "SynapseSparkStep",
    "azureml.telemetry": "set_diagnostics_collection",
    "azureml.telemetry.set_diagnostics_collection": "",
    "azureml.tensorboard": "Tensorboard",
    "azureml.tensorboard.export": "export_to_tensorboard",
    "azureml.tensorboard.tensorboard": "Tensorboard",
    "azureml.train": "",
    "azureml.train.automl": (
        "ApiInvocationException AuthorizationException AutoMLADBRun AutoMLConfig "
        "AutoMLExperimentException AutoMLImageConfig AutoMLPipelineScenario AutoMLRun "
        "BadArgumentException CacheException ClientException ComputeTargets ConfigException "
        "DataException DataPrepValidationException DataScriptException DataValidationException "
        "DataprepException DatasetServiceException EarlyTerminationException Environments "
        "ExperimentObserver FeatureUnavailableException FeaturizationException "
        "FetchNextIterationException FileNotFoundException ForecastingDataException Framework "
        "HTSConstants HTSSupportedInputType InferenceTypes InvalidRunState MalformedValueException "
        "MetricCalculationException MissingValueException ModelExplanationException ModelFitException "
        "ModelProxy NotFoundException OnnxConvertException OnnxException PostTrainingException "
        "PreTrainingException ProblemInfoException Scenarios ServiceException SupportedInputDatatypes "
        "SupportedModels SystemException Tasks TimeSeries TrainingException UnhashableEntryException "
        "ValidationException"
    ),
    "azureml.train.automl.automl_adb_run": "AutoMLADBRun",
    "azureml.train.automl.automlconfig": "AutoMLConfig",
    "azureml.train.automl.automlimageconfig": "AutoMLImageConfig",
    "azureml.train.automl.constants": (
        "AutoMLPipelineScenario ComputeTargets Environments ExperimentObserver Framework HTSConstants "
        "HTSSupportedInputType InferenceTypes Scenarios SupportedInputDatatypes SupportedModels Tasks "
        "TimeSeries"
    ),
    "azureml.train.automl.exceptions": (
        "ApiInvocationException AuthorizationException AutoMLExperimentException BadArgumentException "
        "CacheException ClientException ConfigException DataException DataPrepValidationException "
        "DataScriptException DataValidationException DataprepException DatasetServiceException "
        "EarlyTerminationException FeatureUnavailableException FeaturizationException "
        "FetchNextIterationException FileNotFoundException ForecastingDataException InvalidRunState "
        "MalformedValueException MetricCalculationException MissingValueException "
        "ModelExplanationException ModelFitException NotFoundException OnnxConvertException "
        "OnnxException PostTrainingException PreTrainingException ProblemInfoException "
        "ServiceException SystemException TrainingException UnhashableEntryException "
        "ValidationException"
    ),
    "azureml.train.automl.model_proxy": "ModelProxy",
    "azureml.train.automl.run": "AutoMLRun",
    "azureml.train.automl.runtime": "",
    "azureml.train.automl.runtime._hts": "",
    "azureml.train.automl.runtime._many_models": "",
    "azureml.train.automl.runtime._many_models.many_models_parameters": "",
    "azureml.train.automl.runtime.automl_explain_utilities": "",
    "azureml.train.dnn": "Chainer Gloo Horovod Mpi Nccl ParameterServer PyTorch TensorFlow",
    "azureml.train.estimator": "Estimator Gloo Mpi MpiConfiguration Nccl ParameterServer TensorflowConfiguration",
    "azureml.train.hyperdrive": (
        "BanditPolicy BayesianParameterSampling DictValidationInvalidArgument "
        "DistributionValidationFailure EarlyTerminationPolicy GridParameterSampling HyperDriveConfig "
        "HyperDriveConfigException HyperDriveErrorStrings HyperDriveException "
        "HyperDriveNotImplemented HyperDriveNotImplementedException HyperDriveRehydrateException "
        "HyperDriveRun HyperDriveRunCancellationError HyperDriveRunConfig "
        "HyperDriveScenarioNotSupportedException HyperDriveServiceException HyperDriveTrainingError "
        "HyperParameterSampling InvalidComputeTarget InvalidConfigSetting InvalidKeyInDict "
        "InvalidRunHost InvalidType MedianStoppingPolicy MissingChoiceValues NoTerminationPolicy "
        "PrimaryMetricGoal RandomParameterSampling RehydratePolicyNotFound RehydrateUnknownSampling "
        "ResumeChildRunsContainsDuplicate ResumeChildRunsFromTooManyParentRuns "
        "ResumeChildRunsNotInTerminalState ResumeChildRunsWithoutParentRun TruncationSelectionPolicy "
        "WarmStartRunsDontMatch choice lognormal loguniform normal qlognormal qloguniform qnormal "
        "quniform randint uniform"
    ),
    "azureml.train.hyperdrive.error_definition": (
        "DictValidationInvalidArgument DistributionValidationFailure HyperDriveNotImplemented "
        "HyperDriveRunCancellationError HyperDriveTrainingError InvalidComputeTarget "
        "InvalidConfigSetting InvalidKeyInDict InvalidRunHost InvalidType MissingChoiceValues "
        "RehydratePolicyNotFound RehydrateUnknownSampling ResumeChildRunsContainsDuplicate "
        "ResumeChildRunsFromTooManyParentRuns ResumeChildRunsNotInTerminalState "
        "ResumeChildRunsWithoutParentRun WarmStartRunsDontMatch"
    ),
    "azureml.train.hyperdrive.error_strings": "HyperDriveErrorStrings",
    "azureml.train.hyperdrive.exceptions": (
        "HyperDriveConfigException HyperDriveException HyperDriveNotImplementedException "
        "HyperDriveRehydrateException HyperDriveScenarioNotSupportedException "
        "HyperDriveServiceException"
    ),
    "azureml.train.hyperdrive.parameter_expressions": (
        "choice lognormal loguniform normal qlognormal qloguniform qnormal quniform randint uniform"
    ),
    "azureml.train.hyperdrive.policy": (
        "BanditPolicy EarlyTerminationPolicy MedianStoppingPolicy NoTerminationPolicy "
        "TruncationSelectionPolicy"
    ),
    "azureml.train.hyperdrive.run": "HyperDriveRun PrimaryMetricGoal",
    "azureml.train.hyperdrive.runconfig": "HyperDriveConfig HyperDriveRunConfig PrimaryMetricGoal",
    "azureml.train.hyperdrive.sampling": (
        "BayesianParameterSampling GridParameterSampling HyperParameterSampling RandomParameterSampling"
    ),
    "azureml.train.sklearn": "SKLearn",
    "azureml.widgets": "ParallelRunStepDetails RunDetails",
    "azureml.widgets.parallel_run_step_details": "ParallelRunStepDetails",
    "azureml.widgets.run_details": "RunDetails",
}

NAMES: Dict[str, frozenset] = {module: frozenset(names.split()) for module, names in _NAMES.items()}

_LISTED_IN_PART = (
    "azureml.accel",
    "azureml.automl",
    "azureml.contrib",
    "azureml.explain",
    "azureml.interpret",
    "azureml.monitoring",
    "azureml.opendatasets",
    "azureml.responsibleai",
    "azureml.train.automl",
    "azureml.training",
)


def _is_listed_in_part(module: str) -> bool:
    return module.startswith(("azureml._", *(package + "." for package in _LISTED_IN_PART))) or (
        module in _LISTED_IN_PART
    )


def has_module(module: str) -> bool:
    """Whether v1 had a module of this path."""
    return module in NAMES or _is_listed_in_part(module)


def has_name(module: str, name: str) -> bool:
    """Whether v1's `module` offered this name."""
    return name in NAMES.get(module, ()) or (not name.startswith("__") and _is_listed_in_part(module))
